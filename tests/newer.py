"""What the oldest torch that is supported cannot do, for tests that need it."""

import pytest
import torch

from restoration.common.checkup import numbers


def needs_torch(least: str, reason: str) -> pytest.MarkDecorator:
    """Skip a test where torch is older than `least`, which brings what `reason` says."""
    old = numbers(torch.__version__) < numbers(least)
    return pytest.mark.skipif(old, reason=f"torch {least}: {reason}")
