"""Comparing: the same training with several losses, paired statistics, one report.

The package itself can be called, `restoration.compare(plan)`: see `api.compare`.
"""

from restoration.common.callable_module import make_callable
from restoration.compare.findings import find_differences
from restoration.compare.options import Statistics

__all__ = ["Statistics", "find_differences"]

make_callable(__name__, "restoration.compare.api", "compare")
