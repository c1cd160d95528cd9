"""What every section of an option file shares: strict keys, and keys accepted without effect."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def ignored(default: Any, why: str) -> Any:
    """Describe a key of other projects' files that is accepted and changes nothing here."""
    return Field(
        default,
        description=f"Accepted, without effect: {why}.",
        json_schema_extra={"ignored": True},
    )


class Strict(BaseModel):
    """A section whose unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), validate_default=True)
