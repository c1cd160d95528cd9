"""What all tests share: one thread, no downloads, tiny pictures."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, and for subprocesses

from importlib.util import find_spec

import numpy as np
import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def needs_basicsr():
    """Skip what compares with BasicSR, or uses it, where it cannot be installed (Python 3.13)."""
    if find_spec("basicsr") is None:
        pytest.skip("BasicSR is not installed")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Make folders of smooth random pictures: `pictures(count, side, seed)`."""
    from restoration.data import write_png

    def make(count: int, side: int = 24, seed: int = 0, name: str = "pictures"):
        root = tmp_path_factory.mktemp(name)
        generator = np.random.default_rng(seed)
        for number in range(count):
            coarse = generator.uniform(40, 215, (side // 4 + 1, side // 4 + 1, 3))
            fine = np.kron(coarse, np.ones((4, 4, 1)))[:side, :side]
            write_png(root / f"{number}.png", fine.round().astype(np.uint8))
        return root

    return make
