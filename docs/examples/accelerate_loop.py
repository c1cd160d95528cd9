"""E-VGG with Accelerate.

pip install accelerate
accelerate launch docs/examples/accelerate_loop.py
"""

from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import losses

TERMS = [
    {"type": "MAE", "weight": 1.0},
    {"type": "E-VGG", "weight": 1.2e-2, "backbone": "embedded"},  # or vgg16, vgg19
]


def train(steps: int = 2, **settings: Any) -> list[float]:
    """Train a small denoiser; `settings` go to the accelerator, as in mixed_precision="bf16".

    Returns:
        The total loss of every step.
    """
    torch.manual_seed(0)
    accelerator = Accelerator(**settings)
    network = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 3, 3, 1, 1))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    images = DataLoader(TensorDataset(torch.rand(2 * steps, 3, 64, 64)), batch_size=2)
    network, optimizer, images = accelerator.prepare(network, optimizer, images)
    criterion = losses.build(TERMS).to(accelerator.device)  # not prepared: nothing to train in it
    totals = []
    for (clean,) in images:
        noisy = clean + 0.1 * torch.randn_like(clean)
        total, values = criterion(network(noisy), clean)  # in float32 whatever the precision
        optimizer.zero_grad()
        accelerator.backward(total)
        optimizer.step()
        totals.append(total.item())
    return totals


if __name__ == "__main__":
    print(train())
