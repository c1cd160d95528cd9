"""The networks that `network.py` compares, and what is done with them."""

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn

from restoration.archs import Restormer

UPSTREAM = "upstream"
ARMS = {  # name: (compiled, checkpointing, autocast)
    "ours": (False, "none", False),
    "ours, compiled": (True, "none", False),
    "ours, bf16": (False, "none", True),
    "ours, bf16, compiled": (True, "none", True),
    "ours, checkpointed level 1": (False, "level1", False),
    "ours, checkpointed": (False, "all", False),
}


def build_upstream(folder: Path, settings: dict) -> nn.Module:
    """Build the network of the authors' checkout."""
    path = folder / "basicsr" / "models" / "archs" / "restormer_arch.py"
    if not path.is_file():
        raise SystemExit(f"expected a checkout of swz30/Restormer, got no {path}")
    spec = importlib.util.spec_from_file_location("upstream_restormer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Restormer(LayerNorm_type="BiasFree", **settings)


def build_arm(name: str, upstream: Path | None, settings: dict) -> tuple[nn.Module, bool]:
    """Build one contender by name, with the same weights as every other: (network, autocast)."""
    torch.manual_seed(0)
    ours = Restormer(**settings)
    if name == UPSTREAM:
        theirs = build_upstream(upstream, settings)
        theirs.load_state_dict(ours.state_dict())
        return theirs, False
    compiled, checkpointing, lowered = ARMS[name]
    ours.checkpoint(checkpointing)
    if compiled:
        ours.compile_parts()
    return ours, lowered


def forward(network: nn.Module, x: Tensor, lowered: bool) -> Tensor:
    """One forward without gradients."""
    with torch.no_grad(), torch.autocast(x.device.type, torch.bfloat16, enabled=lowered):
        return network(x)


def loss(network: nn.Module, x: Tensor, lowered: bool) -> Tensor:
    """L1 of one forward with gradients."""
    with torch.autocast(x.device.type, torch.bfloat16, enabled=lowered):
        out = network(x)
    return (out.float() - x).abs().mean()


def step(network: nn.Module, x: Tensor, lowered: bool) -> None:
    """One forward and backward; the optimiser is the same for all contenders and left out."""
    network.zero_grad(set_to_none=True)
    loss(network, x, lowered).backward()


def image(batch: int, side: int, device: torch.device | str) -> Tensor:
    """The input of every contender: (batch, 3, side, side) in [0, 1], always the same."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, 3, side, side, generator=generator).to(device)
