"""The scaler network of visual maps: from an error to a visible difference in [0, 1].

In arXiv:2305.19858 the shown map is s(error) - s(0). Here s is fitted after the masks, to the
distances of whole images and their ratings, so that masks do not depend on it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

import losses


def fit_scaler(
    distances: Tensor, visible: Tensor, num_steps: int = 800, seed: int = 0
) -> dict[str, Tensor]:
    """Fit a scaler network.

    Args:
        distances: (N,) values of the metric, not negative.
        visible: (N,) how bad people find the images, in [0, 1], 0 for no visible difference.
        num_steps: of the optimiser.
        seed: of the first weights.

    Returns:
        `scaler_network.*` entries for the file of the masks.
    """
    size = distances.mean().clamp_min(1e-12)
    errors = torch.cat([distances / size, distances.new_zeros(1)]).view(-1, 1, 1, 1)
    target = torch.cat([visible, visible.new_zeros(1)]).view(-1, 1, 1, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        scaler = losses.ScalerNetwork()
    optimizer = torch.optim.Adam(scaler.parameters(), lr=1e-2)
    for _ in range(num_steps):
        optimizer.zero_grad()
        F.smooth_l1_loss(scaler(errors), target, beta=0.1).backward()
        optimizer.step()
    state = {f"scaler_network.{name}": v.clone() for name, v in scaler.state_dict().items()}
    state["scaler_network.model.0.weight"] /= size
    return state
