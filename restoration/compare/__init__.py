"""Comparing: the same training with several losses, paired statistics, one report."""

from restoration.compare.findings import find_differences
from restoration.compare.options import Statistics

__all__ = ["Statistics", "find_differences"]
