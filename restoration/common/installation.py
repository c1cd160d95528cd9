"""What can be wrong with an installation, each in a sentence that says what to do."""

import importlib.util
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def check_losses() -> None:
    """Check that `import losses` would take the package that lies beside this one.

    `python -m` looks into the working directory first, where people keep folders of that name.

    Raises:
        ValueError: another package or folder is in its place.
    """
    expected = Path(__file__).resolve().parents[2] / "losses"
    spec = importlib.util.find_spec("losses")
    places = [] if spec is None else list(spec.submodule_search_locations or [spec.origin or ""])
    if [Path(place).resolve() for place in places] != [expected]:
        raise ValueError(
            f"expected the package `losses` of this project, {expected}, got "
            f"{', '.join(places) or 'none'}: it hides ours. Use the command `restoration` instead "
            "of `python -m restoration`, or start in another folder"
        )


def tensorboard_conflict() -> str | None:
    """Say what keeps TensorBoard from starting, and how to mend it; None if nothing does."""
    try:
        version("tb-nightly")
        version("tensorboard")
    except PackageNotFoundError:
        return None
    return (
        "TensorBoard cannot start here: tb-nightly, which BasicSR requires, is installed beside "
        "it. Mend it with: pip uninstall -y tb-nightly tensorboard && pip install tensorboard"
    )
