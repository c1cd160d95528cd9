"""Small images, and random weights in the layout of the real files."""

from pathlib import Path

import torch

from losses import MaskBank
from losses.features.embedded import EmbeddedBackbone

VGG16 = (64, 128, 256, 512, 512)
WEIGHTS = Path(__file__).parents[2] / ".." / "shared" / "weights"


def make_pair(batch=2, side=16, seed=0, dtype=torch.float32):
    """Smooth random images and a noisy copy: (prediction, target), (B, 3, side, side)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 3, 5, 5, generator=generator)
    target = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic")
    noise = 0.1 * torch.randn(target.shape, generator=generator)
    return (target + noise).clamp(0, 1).to(dtype), target.clamp(0, 1).to(dtype)


def random_masks(channels, seed=0, gain=1.0):
    """State dict of a mask bank whose masks vary over the image."""
    torch.manual_seed(seed)
    state = MaskBank(channels).state_dict()
    return {name: value * (gain if name.endswith("weight") else 1) for name, value in state.items()}


def alexnet_features(seed=0):
    """Random weights of torchvision's AlexNet features under torchvision's names."""
    from torchvision.models import alexnet

    with torch.device("meta"):
        shapes = {f"features.{k}": v.shape for k, v in alexnet().features.state_dict().items()}
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=generator) / max(1, shape[1:].numel()) ** 0.5
        for name, shape in shapes.items()
    }


def vgg16_features(seed=0):
    """Random weights of VGG-16's features under torchvision's names."""
    from losses import build_backbone

    torch.manual_seed(seed)
    state = build_backbone("vgg16", weights="random").body.state_dict()
    return {name.replace("features_", "features."): value for name, value in state.items()}


def ones(channels):
    """State dict of a mask bank that lets everything through: masks of exactly 1."""
    state = {name: torch.zeros_like(value) for name, value in random_masks(channels).items()}
    biases = (name for name in state if name.endswith("conv3.0.bias"))
    return state | {name: torch.full((1,), 40.0) for name in biases}


def milo_weights(seed=0):
    """Random weights in the layout of MILO.pth whose masks vary over the image."""
    from losses.milo import MultiScaleMask

    torch.manual_seed(seed)
    state = MultiScaleMask().state_dict()
    return {name: value * (3 if name.endswith("weight") else 1) for name, value in state.items()}


def embedded_masks(**more):
    """State dict of random masks for the embedded backbone."""
    return random_masks(EmbeddedBackbone().channels, **more)
