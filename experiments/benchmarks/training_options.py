"""Option files of the trainings that training.py compares: BasicSR's and ours, of one training."""

import argparse
from pathlib import Path
from typing import Any

import torch
from stream import make_pictures

from losses.features.published import published_file
from losses.features.vgg import TAPS
from losses.weights import load_state_dict
from restoration.archs import ARCHS
from restoration.data.cutting import Cutting, cut_folders
from restoration.data.sources import find_pictures

WORKERS, VGG_WEIGHT = 2, 0.1
CHANNELS = dict(zip(TAPS["vgg16"], (64, 128, 256, 512, 512), strict=True))
NEVER = 10**9
UPSTREAM_NETWORK = "UpstreamRestormer"  # as the worker registers it
TINY = {
    "dim": 4,
    "num_blocks": [1, 1, 1, 1],
    "num_refinement_blocks": 0,
    "heads": [1, 1, 1, 1],
    "ffn_expansion_factor": 1.0,
}


class Inputs:
    """Photographs and weights of all trainings.

    Args:
        folder: for what is made here.
        given: the command line.
    """

    def __init__(self, folder: Path, given: argparse.Namespace):
        self.images, self.val = given.images or folder / "images", folder / "val"
        if given.images is None:
            make_pictures(self.images, 2 if given.dry else 24)
        self.val.mkdir()
        for path in find_pictures(given.val or self.images)[: given.val_images]:
            (self.val / path.name).symlink_to(path.resolve())
        self.decoded = folder / "decoded"
        cut_folders([self.images], self.decoded, Cutting(512, 96, 10**6, decoded=True), workers=0)
        self.vgg = folder / "vgg.pth" if given.dry else given.vgg or published_file("vgg16")
        if given.dry:  # the first two levels of an untrained VGG-16
            shapes = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128)}
            weights = {
                f"features.{n}.weight": 0.05 * torch.randn(*s, 3, 3) for n, s in shapes.items()
            }
            biases = {f"features.{n}.bias": torch.zeros(s[0]) for n, s in shapes.items()}
            torch.save(weights | biases, self.vgg)
        convs = sum(key.endswith(".weight") for key in load_state_dict(self.vgg))
        self.taps = list(TAPS["vgg16"])[: 2 if convs < 7 else 5]


def network_of(given: argparse.Namespace) -> dict[str, Any]:
    """The network's options."""
    return {"type": "Restormer", **TINY} if given.dry else {"type": given.network}


def their_network(given: argparse.Namespace) -> dict[str, Any]:
    """The same from the authors' checkout, where that is given."""
    if given.upstream is None:
        return network_of(given)
    settings = TINY if given.dry else getattr(ARCHS[given.network], "keywords", {})
    lists = {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()}
    return {"type": UPSTREAM_NETWORK, **lists}


def logger_of(given: argparse.Namespace) -> dict[str, Any]:
    """The log of both sides."""
    return {
        "print_freq": given.print_freq,
        "save_checkpoint_freq": NEVER,
        "use_tb_logger": False,
    }


def their_options(inputs: Inputs, given: argparse.Namespace, steps: int, every: int) -> dict:
    """BasicSR's option file."""
    channels = {tap: CHANNELS[tap] for tap in inputs.taps}
    share = {tap: count / sum(channels.values()) for tap, count in channels.items()}
    kind = {"type": "GaussianDenoisingDataset", "io_backend": {"type": "disk"}}
    return {
        "name": "theirs",
        "model_type": "DenoisingModel",
        "scale": 1,
        "num_gpu": 0,
        "manual_seed": 0,
        "datasets": {
            "train": {
                **kind,
                "name": "train",
                "dataroot_gt": str(inputs.images.resolve()),
                "gt_size": given.patch,
                "batch_size_per_gpu": given.batch,
                "num_worker_per_gpu": WORKERS,
                "use_shuffle": True,
                "dataset_enlarge_ratio": 1000,
            },
            "val": {**kind, "name": "val", "dataroot_gt": str(inputs.val), "sigma_test": 25},
        },
        "network_g": their_network(given),
        "path": {"pretrain_network_g": None, "resume_state": None},
        "train": {
            "optim_g": {"type": "Adam", "lr": given.rate, "betas": [0.9, 0.99]},
            "scheduler": {"type": "MultiStepLR", "milestones": [NEVER]},
            "total_iter": steps,
            "pixel_opt": {"type": "L1Loss", "loss_weight": 1.0},
            "perceptual_opt": {
                "type": "PerceptualLoss",
                "vgg_type": "vgg16",
                "layer_weights": share,
                "perceptual_weight": VGG_WEIGHT,
            },
        },
        "val": {
            "val_freq": every if every < steps else NEVER,  # BasicSR ends with one as it is
            "save_img": False,
            "metrics": {"psnr": {"type": "calculate_psnr", "crop_border": 0}},
        },
        "logger": logger_of(given),
    }


def our_options(
    inputs: Inputs, given: argparse.Namespace, steps: int, every: int, arm: dict[str, Any]
) -> dict:
    """Our option file of the same training."""
    arm = dict(arm)
    images = inputs.decoded if arm.pop("decoded", False) else inputs.images
    vgg = {
        "type": "VGG",
        "backbone": "vgg16",
        "weights": str(inputs.vgg),
        "taps": inputs.taps,
        "pooling": "max",
        "normalize": True,
        "weight": VGG_WEIGHT,
        "precision": "bf16" if "amp" in arm else "float32",
        "compile": "compile" in arm,
    }
    return {
        "name": "ours",
        "num_gpu": 0,
        "manual_seed": 0,
        "datasets": {
            "train": {
                "dataroot_gt": str(images.resolve()),
                "gt_size": given.patch,
                "batch_size_per_gpu": given.batch,
                "num_worker_per_gpu": WORKERS,
            },
            "val": {"dataroot_gt": str(inputs.val), "sigma_test": [25]},
        },
        "network_g": network_of(given),
        "train": {
            "total_iter": steps,
            "optim_g": {"type": "Adam", "lr": given.rate, "betas": [0.9, 0.99]},
            "use_grad_clip": False,
            "losses": [{"type": "MAE"}, vgg],
            **arm,
        },
        "val": {"metrics": ["psnr"], "val_freq": min(every, steps)},
        "logger": logger_of(given),
    }
