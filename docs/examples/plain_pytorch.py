"""E-VGG in a plain PyTorch loop.

python docs/examples/plain_pytorch.py
"""

import torch
from torch import nn

import losses

TERMS = [
    {"type": "MAE", "weight": 1.0},
    {"type": "E-VGG", "weight": 1.2e-2, "backbone": "embedded"},  # or vgg16, vgg19
]


def train(steps: int = 2, device: str = "cpu") -> list[float]:
    """Train a small denoiser on random images.

    Returns:
        The total loss of every step.
    """
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 3, 3, 1, 1))
    network.to(device)
    criterion = losses.build(TERMS).to(device)  # frozen: it has no parameters to optimise
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    totals = []
    for _ in range(steps):
        clean = torch.rand(2, 3, 64, 64, device=device)  # RGB in [0, 1]
        noisy = clean + 0.1 * torch.randn_like(clean)
        total, values = criterion(network(noisy), clean)  # values: every term, for the log
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    return totals


if __name__ == "__main__":
    print(train())
