"""Training samples for denoising: uint8 crops and the numbers that corrupt them on the device.

The dataset only cuts. Noise and mixing need floating point and happen in `degrade.corrupt`, so
workers hand over a quarter of the bytes, and only the crop that the stage of training needs.
"""

import numpy as np
import torch
from torch.utils.data import Dataset

from restoration.data.sampling import Draw, SigmaSpec, check_sigma, draw, symmetric
from restoration.data.sources import Source


class DenoisingDataset(Dataset):
    """Crops of clean pictures, each with its noise level and noise seed.

    Args:
        source: clean pictures.
        seed: seed of the sample stream.
        sigma: a number, `("blind", low, high)` or `("choice", a, b, ...)`, in 0..255 units.
        geometric_augs: turn and mirror crops, the 8 symmetries of the square.
        mixup_beta: mix pairs with a weight from Beta(b, b); None for no mixing.
        mixup_identity: leave a sample alone with probability 1/2 instead of always mixing.

    Raises:
        ValueError: a setting is out of range.
    """

    def __init__(
        self,
        source: Source,
        seed: int,
        sigma: SigmaSpec,
        geometric_augs: bool = True,
        mixup_beta: float | None = None,
        mixup_identity: bool = True,
    ) -> None:
        check_sigma(sigma)
        if not 0 <= seed < 2**64:
            raise ValueError(f"expected a seed in [0, 2**64), got {seed}")
        if mixup_beta is not None and mixup_beta <= 0:
            raise ValueError(f"expected mixup_beta > 0 or None, got {mixup_beta}")
        self.source, self.seed, self.sigma = source, seed, sigma
        self.geometric_augs = geometric_augs
        self.mixup_beta, self.mixup_identity = mixup_beta, mixup_identity

    def __len__(self) -> int:
        """Pictures, that is samples per epoch; sample numbers go on beyond it."""
        return len(self.source)

    def draw(self, index: int) -> Draw:
        """All random choices of sample `index`."""
        return draw(
            self.seed,
            index,
            len(self.source),
            augment=self.geometric_augs,
            mixup_beta=self.mixup_beta,
            mixup_identity=self.mixup_identity,
            sigma=self.sigma,
        )

    def __getitem__(self, key: tuple[int, int]) -> dict[str, torch.Tensor]:
        """Cut one sample.

        Args:
            key: number of the sample since the start of training, and the side of its crop.

        Returns:
            `crop` (3, P, P) uint8, `sigma` in 0..255 units, `noise_seed`, and, with mixup on,
            `lam`, `partner_crop`, `partner_sigma`, `partner_noise_seed` (zeros where lam is 1).

        Raises:
            ValueError: the picture cannot be read or is smaller than the crop.
        """
        index, patch_size = key
        chosen = self.draw(index)
        sample = self._cut(chosen, patch_size, "")
        if self.mixup_beta is None:
            return sample
        sample["lam"] = torch.tensor(chosen.lam, dtype=torch.float32)
        if chosen.partner is not None:
            return sample | self._cut(chosen.partner, patch_size, "partner_")
        return sample | {
            f"partner_{k}": torch.zeros_like(v) for k, v in sample.items() if k != "lam"
        }

    def check_sizes(self, patch_size: int) -> None:
        """Refuse crops larger than any picture, before training starts.

        Args:
            patch_size: the largest side of a crop.

        Raises:
            ValueError: a picture is smaller; names it and both sizes.
        """
        for index, name in enumerate(self.source.names):
            _check_size(self.source.size(index), patch_size, name)

    def _cut(self, chosen: Draw, patch_size: int, prefix: str) -> dict[str, torch.Tensor]:
        """The crop of one draw and the numbers of its noise."""
        image = self.source.read(chosen.image)  # (H, W, 3)
        height, width = image.shape[:2]
        _check_size((height, width), patch_size, self.source.names[chosen.image])
        top = int(chosen.top * (height - patch_size + 1))
        left = int(chosen.left * (width - patch_size + 1))
        crop = image[top : top + patch_size, left : left + patch_size]  # (P, P, 3)
        pixels = np.moveaxis(symmetric(crop, chosen.symmetry), 2, 0).copy()  # (3, P, P)
        return {
            f"{prefix}crop": torch.from_numpy(pixels),
            f"{prefix}sigma": torch.tensor(chosen.sigma, dtype=torch.float32),
            f"{prefix}noise_seed": torch.tensor(chosen.noise_seed, dtype=torch.int64),
        }


def _check_size(size: tuple[int, int], patch_size: int, name: str) -> None:
    if patch_size < 1:
        raise ValueError(f"expected a crop of at least 1 pixel, got {patch_size}")
    if min(size) < patch_size:
        raise ValueError(
            f"expected images of at least {patch_size}x{patch_size} pixels, "
            f"got {size[0]}x{size[1]} (height x width) in {name}"
        )
