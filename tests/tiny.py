"""The smallest Restormer that trains, a comparison of it, and whether two results are the same."""

from pathlib import Path
from typing import Any

import torch

TINY = {
    "type": "Restormer",
    "dim": 4,
    "num_blocks": [1, 1, 1, 1],
    "num_refinement_blocks": 0,
    "heads": [1, 1, 1, 1],
    "ffn_expansion_factor": 1.0,
}


def tiny_options(images: Path) -> dict[str, Any]:
    """Return the options that every small recipe on a folder of pictures shares."""
    return {
        "num_gpu": 0,
        "datasets": {
            "train": {
                "dataroot_gt": str(images),
                "batch_size_per_gpu": 1,
                "gt_size": 16,
                "num_worker_per_gpu": 0,
            },
            "val": {"dataroot_gt": str(images), "sigma_test": [25]},
        },
        "network_g": TINY,
    }


def tiny_comparison(images: Path, **keys: Any) -> dict[str, Any]:
    """Return options of a comparison on a folder of pictures, keys laid over them."""
    own = {
        "name": "tiny",
        "train": {"total_iter": 2, "optim_g": {"lr": 0.01}},
        "val": {"metrics": ["psnr", "e_mae"], "val_freq": 1000},
        "logger": {"print_freq": 1, "use_tb_logger": False},
    }
    return tiny_options(images) | own | keys


def assert_same(a, b):
    """Bitwise the same nested mappings, lists, tensors and numbers."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    else:
        assert a == b
