"""What spoils an image: in training, in tests, and the distortions that masks learn from."""

from restoration.degradations.base import Degradation, Range
from restoration.degradations.batch import BatchDegradation
from restoration.degradations.chain import Chain
from restoration.degradations.conditions import (
    GAUSSIAN,
    Condition,
    FixedDegradation,
    conditions_of_test,
    gaussian_noise,
)
from restoration.degradations.gaussian import evaluation_noise
from restoration.degradations.registry import (
    DEGRADATIONS,
    build_degradation,
    register_degradation,
)

__all__ = [
    "DEGRADATIONS",
    "GAUSSIAN",
    "BatchDegradation",
    "Chain",
    "Condition",
    "Degradation",
    "FixedDegradation",
    "Range",
    "build_degradation",
    "conditions_of_test",
    "evaluation_noise",
    "gaussian_noise",
    "register_degradation",
]
