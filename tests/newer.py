"""What older versions of torch cannot do, for the tests that need it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from restoration.common.checkup import numbers


def needs_torch(least: str, reason: str) -> pytest.MarkDecorator:
    """Skip a test where torch is older than `least`, in which what `reason` says does not work."""
    old = numbers(torch.__version__) < numbers(least)
    return pytest.mark.skipif(old, reason=f"before torch {least}: {reason}")


@contextmanager
def without_a_gpu() -> Iterator[None]:
    """Skip a test where an older torch asks a GPU's driver about fake tensors; 2.14 does not."""
    try:
        yield
    except RuntimeError as error:
        old = numbers(torch.__version__) < numbers("2.14")
        if old and "CUDA driver" in str(error):
            pytest.skip("before torch 2.14: fake tensors on a GPU without a driver")
        raise
