"""What test images are spoiled by, as result rows and tables name it."""

from dataclasses import dataclass

GAUSSIAN = "gaussian"


@dataclass(frozen=True)
class Condition:
    """A degradation at one level.

    Args:
        degradation: what the level is a level of, such as "gaussian" or "jpeg quality".
        level: strength in the unit of the degradation (0..255 for Gaussian noise), or None for a
            degradation without levels.
    """

    degradation: str
    level: float | None = None
