"""Options of small trainings."""

import pytest
from tiny import TINY

from restoration.options.load import validate


@pytest.fixture(scope="module")
def images(pictures):
    return pictures(3, side=24)


@pytest.fixture
def make_options(images, tmp_path):
    """Options of a run of 6 steps, with sections laid over them."""

    def make(**sections):
        options = {
            "name": "run",
            "num_gpu": 0,
            "manual_seed": 7,
            "datasets": {
                "train": {
                    "dataroot_gt": str(images),
                    "batch_size_per_gpu": 2,
                    "gt_size": 16,
                    "num_worker_per_gpu": 0,
                }
            },
            "network_g": TINY,
            "path": {
                "experiments_root": str(tmp_path / "experiments"),
                "tb_root": str(tmp_path / "tb"),
            },
            "train": {
                "total_iter": 6,
                "losses": [{"type": "MAE"}],
                "optim_g": {"lr": 1e-3},
                "scheduler": {
                    "type": "CosineAnnealingRestartLR",
                    "periods": [6],
                    "eta_min": 1e-5,
                },
            },
            "val": {"val_freq": 1000, "metrics": ["psnr", "ssim"]},
            "logger": {"print_freq": 1, "save_checkpoint_freq": 3, "use_tb_logger": False},
        }
        for name, section in sections.items():
            options[name] = options[name] | section if isinstance(section, dict) else section
        return validate(options)

    return make
