"""E-VGG in a LightningModule.

pip install lightning
python docs/examples/lightning_module.py
"""

from typing import Any

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import losses

TERMS = [
    {"type": "MAE", "weight": 1.0},
    {"type": "E-VGG", "weight": 1.2e-2, "backbone": "embedded"},  # or vgg16, vgg19
]


class Denoiser(lightning.LightningModule):
    """A small denoiser, trained against clean images."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 3, 3, padding=1)
        )
        # in a tuple, so that the backbone's frozen weights are in no checkpoint
        self.criterion = (losses.build(TERMS),)

    def on_fit_start(self) -> None:
        """Bring the loss to the device of the network, as Lightning does with modules."""
        self.criterion[0].to(self.device)

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        """Denoise a batch of clean images, and log every term of the loss."""
        (clean,) = batch
        noisy = clean + 0.1 * torch.randn_like(clean)
        total, values = self.criterion[0](self.network(noisy), clean)
        self.log_dict(
            {"train/total": total.detach(), **{f"train/{n}": v for n, v in values.items()}}
        )
        return total

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW over the network alone."""
        return torch.optim.AdamW(self.network.parameters(), lr=1e-3)


def train(steps: int = 2, **settings: Any) -> lightning.Trainer:
    """Train on random images; `settings` go to the trainer, as in precision="bf16-mixed"."""
    lightning.seed_everything(0)
    images = DataLoader(TensorDataset(torch.rand(2 * steps, 3, 64, 64)), batch_size=2)
    trainer = lightning.Trainer(max_steps=steps, log_every_n_steps=1, **settings)
    trainer.fit(Denoiser(), images)
    return trainer


if __name__ == "__main__":
    print(train().logged_metrics)
