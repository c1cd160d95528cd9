"""What older versions of torch cannot do, for the tests that need it."""

from functools import cache

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from restoration.common.checkup import numbers


def needs_torch(least: str, reason: str) -> pytest.MarkDecorator:
    """Skip a test where torch is older than `least`, in which what `reason` says does not work."""
    old = numbers(torch.__version__) < numbers(least)
    return pytest.mark.skipif(old, reason=f"before torch {least}: {reason}")


@cache
def _fakes_convolve() -> bool:
    try:
        with FakeTensorMode():
            image = torch.empty(1, 3, 8, 8, device="cuda:0")
            torch.nn.functional.conv2d(image, torch.empty(3, 3, 3, 3, device="cuda:0"))
    except RuntimeError as error:
        if "CUDA driver" in str(error):
            return False
        raise
    return True


def skip_where_fakes_need_a_gpu() -> None:
    """Skip a test where torch asks a GPU's driver about tensors that only say they are on one."""
    if not _fakes_convolve():
        pytest.skip("this torch needs a GPU for tensors that only say they are on one")
