"""Names of metrics as command lines write them: "e-mae" for the loss term `E-MAE`."""

import losses


def canonical(name: str) -> str:
    """The name of a metric as it is looked up: " E_MAE" is "e-mae"."""
    return name.strip().lower().replace("_", "-")


def terms_by_name() -> dict[str, str]:
    """Keys of `losses.TERMS` by their names on command lines."""
    return {canonical(term): term for term in losses.TERMS}
