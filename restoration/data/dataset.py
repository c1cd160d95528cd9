"""Training samples: uint8 crops, and the numbers that degrade and mix them on the device.

The data sets only cut. Degradations and mixing need floating point and happen in
`restoration.degradations.batch`, so workers hand over a quarter of the bytes, and only the crop
that the stage of training needs.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from restoration.data.paired import PairedSource
from restoration.data.sampling import Box, Draw, Mixing, draw, link_numbers, symmetric
from restoration.data.sources import Source
from restoration.degradations.batch import WAYS
from restoration.degradations.chain import Chain, as_tensors

Sample = dict[str, torch.Tensor]


class CropDataset(Dataset[Sample]):
    """Crops of clean images; a subclass adds what the network is to be shown instead.

    Args:
        source: clean images.
        seed: seed of the sample stream.
        geometric_augs: turn and mirror crops, the 8 symmetries of the square.
        mixing: how samples are mixed; None for no mixing.

    Attributes:
        smaller: names of the images that `check_sizes` found smaller than a crop: they are padded.

    Raises:
        ValueError: a setting is out of range.
    """

    def __init__(
        self, source: Source, seed: int, geometric_augs: bool = True, mixing: Mixing | None = None
    ) -> None:
        if not 0 <= seed < 2**64:
            raise ValueError(f"expected a seed in [0, 2**64), got {seed}")
        self.source, self.seed = source, seed
        self.geometric_augs, self.mixing = geometric_augs, mixing
        self.smaller: list[str] = []

    @property
    def definition(self) -> dict[str, Any]:
        """What the stream depends on beside its images, as plain values."""
        mixing = None if self.mixing is None else vars(self.mixing)
        return {"seed": self.seed, "geometric_augs": self.geometric_augs, "mixing": mixing}

    def __len__(self) -> int:
        """Images, that is samples per epoch; sample numbers go on beyond it."""
        return len(self.source)

    def draw(self, index: int) -> Draw:
        """All random choices of sample `index`."""
        augment, mixing = self.geometric_augs, self.mixing
        return draw(self.seed, index, len(self.source), augment=augment, mixing=mixing)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """Cut one sample.

        Args:
            key: number of the sample since the start of training, and the side of its crop.

        Returns:
            `crop` (C, P, P) uint8 and what the subclass adds; with mixing on, `lam` and the same
            of a partner, named `partner_...` (zeros where there is none); with cutmix or cutblur
            on, `way`, a code of `WAYS` or 0, and `box`, its top, left and side in pixels.

        Raises:
            ValueError: the image cannot be read.
        """
        index, patch_size = key
        chosen = self.draw(index)
        sample = self._cut(chosen, patch_size, index, False)
        if self.mixing is None:
            return sample
        if chosen.partner is not None:
            partner = self._cut(chosen.partner, patch_size, index, True)
        else:
            partner = {name: torch.zeros_like(value) for name, value in sample.items()}
        mixed = sample | {f"partner_{name}": value for name, value in partner.items()}
        mixed["lam"] = torch.tensor(chosen.lam, dtype=torch.float32)
        if self.mixing.ways != ("mixup",):
            mixed |= _rectangle(chosen, patch_size)
        return mixed

    def check_sizes(self, patch_size: int) -> None:
        """Note which images are smaller than a crop, before training starts: see `smaller`.

        Args:
            patch_size: the largest side of a crop.

        Raises:
            ValueError: the two images of a pair differ in size.
        """
        _check_side(patch_size)
        sizes = (self.source.size(index) for index in range(len(self.source)))
        names = self.source.names
        self.smaller = [n for n, size in zip(names, sizes, strict=True) if min(size) < patch_size]

    def _cut(self, chosen: Draw, patch_size: int, index: int, of_partner: bool) -> Sample:
        """The crop of one draw, and what a subclass adds."""
        image = self.source.read(chosen.image)  # (H, W, C)
        return {"crop": self._crop(image, chosen, patch_size)}

    def _crop(self, image: np.ndarray, chosen: Draw, patch_size: int) -> torch.Tensor:
        """Cut and turn an image, (H, W, C) -> (C, P, P) uint8; a smaller one is padded before."""
        image = enlarged(image, patch_size)
        height, width = image.shape[:2]
        top = int(chosen.top * (height - patch_size + 1))
        left = int(chosen.left * (width - patch_size + 1))
        crop = image[top : top + patch_size, left : left + patch_size]  # (P, P, C)
        return torch.from_numpy(np.moveaxis(symmetric(crop, chosen.symmetry), 2, 0).copy())


class DenoisingDataset(CropDataset):
    """Crops of clean images, and how each is to be degraded.

    Args:
        source: clean images.
        seed: seed of the sample stream.
        chain: the degradations.
        geometric_augs: turn and mirror crops, the 8 symmetries of the square.
        mixing: how samples are mixed; None for no mixing.

    A sample also has `parameters` (links, width) float32 and `seeds` (links,) int64.
    """

    def __init__(
        self,
        source: Source,
        seed: int,
        chain: Chain,
        geometric_augs: bool = True,
        mixing: Mixing | None = None,
    ) -> None:
        super().__init__(source, seed, geometric_augs, mixing)
        self.chain = chain

    @property
    def definition(self) -> dict[str, Any]:
        """What the stream depends on beside its images, as plain values."""
        return super().definition | {"degradation": list(self.chain.specs)}

    def _cut(self, chosen: Draw, patch_size: int, index: int, of_partner: bool) -> Sample:
        more = partial(link_numbers, self.seed, index, of_partner=of_partner)
        drawn = self.chain.draw(chosen.uniform, chosen.noise_seed, more)
        parameters, seeds = as_tensors(*drawn)
        crop = super()._cut(chosen, patch_size, index, of_partner)
        return crop | {"parameters": parameters, "seeds": seeds}


class PairedDataset(CropDataset):
    """Crops of clean images, and the same crops of their degraded partners.

    Args:
        source: pairs of images.
        seed: seed of the sample stream.
        geometric_augs: turn and mirror crops, both alike.
        mixing: how samples are mixed; None for no mixing.

    A sample also has `input_crop` (C, P, P) uint8.
    """

    source: PairedSource

    def _cut(self, chosen: Draw, patch_size: int, index: int, of_partner: bool) -> Sample:
        clean = super()._cut(chosen, patch_size, index, of_partner)
        degraded = self.source.degraded.read(chosen.image)
        return clean | {"input_crop": self._crop(degraded, chosen, patch_size)}


def _rectangle(chosen: Draw, patch_size: int) -> Sample:
    """How a sample is mixed, and its rectangle in pixels."""
    box = chosen.box or Box(0, 0, 0)
    side = round(box.side * patch_size)
    room = patch_size - side + 1
    place = [int(box.top * room), int(box.left * room), side]
    code = WAYS.get(chosen.way + ("_outside" if box.outside else ""), 0)
    return {"way": torch.tensor(code), "box": torch.tensor(place)}


def enlarged(image: np.ndarray, side: int) -> np.ndarray:
    """Pad an image at its right and lower edge by reflection, edge pixels repeated.

    Args:
        image: (H, W, C).
        side: what height and width are at least afterwards.

    Returns:
        (max(H, side), max(W, side), C); the image itself where it is large enough.

    Source:
        Restormer's training code (arXiv:2111.09881) pads so: its recipe cuts 384 x 384 pixels, and
        the images of BSD400 have 321 x 481.
    """
    _check_side(side)
    missing = [max(0, side - length) for length in image.shape[:2]]
    if not any(missing):
        return image
    return np.pad(image, [(0, missing[0]), (0, missing[1]), (0, 0)], "symmetric")


def _check_side(side: int) -> None:
    if side < 1:
        raise ValueError(f"expected a crop of at least 1 pixel, got {side}")
