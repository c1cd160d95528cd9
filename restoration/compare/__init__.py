"""Comparing: the same training with several losses, inference over trainings, one report.

The package itself can be called, `restoration.compare(plan)`: see `api.compare`.
"""

from restoration.common.callable_module import make_callable
from restoration.compare.differences import Difference, find_differences
from restoration.compare.fronts import find_fronts
from restoration.compare.options import Statistics

__all__ = ["Difference", "Statistics", "find_differences", "find_fronts"]

make_callable(__name__, "restoration.compare.api", "compare")
