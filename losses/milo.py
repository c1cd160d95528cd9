"""MILO (Cogalan et al. 2025, arXiv:2509.01411): mean absolute error under a multi-scale mask.

One small network, the same at every scale, refines the mask from coarse to fine: it reads the
distorted image, the reference and the mask of the scale below, and its answer is added to that
mask. State-dict names match the authors' MILO.pth, which is not shipped: give your copy by path, or
fetch it (`restoration weights fetch MILO`).
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losses.frozen import freeze
from losses.masks import VisualMasks
from losses.pixel import MAE, EnhancedLoss, renamed_masks
from losses.weights import load_state_dict

NUM_SCALES = 4
AUTHORS_MASK = "MILO"
WIDTHS = (7, 32, 64, 32, 16, 1)  # in: two RGB images and a mask


def _refiner() -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in zip(WIDTHS, WIDTHS[1:], strict=False):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(True)]
    return nn.Sequential(*layers[:-1])


def _double(mask: Tensor, size: torch.Size) -> Tensor:
    """Enlarge a mask twofold; an odd last row or column repeats its neighbour."""
    mask = F.interpolate(mask, scale_factor=2, mode="bilinear", align_corners=True)
    rows, columns = size[0] - mask.shape[-2], size[1] - mask.shape[-1]
    return F.pad(mask, (0, columns, 0, rows), mode="replicate")


class MultiScaleMask(VisualMasks):
    """Mask network of MILO, 43.8 thousand parameters.

    Source: arXiv:2509.01411; the order of the pair and the sum over scales are pinned by the
    value of the authors' example.
    """

    def __init__(self) -> None:
        super().__init__((3,))
        self.mask_finder_1 = nn.ModuleDict({"netBasic": _refiner()})

    def mask(self, k: int, reference: Tensor, distorted: Tensor) -> Tensor:
        """Mask of a pair, (B, 3, H, W) x 2 -> (B, 1, H, W) in [0, 4]; k is 0, as in a MaskBank."""
        assert k == 0
        pairs = [torch.cat([distorted, reference], dim=1)]  # finest first
        for _ in range(NUM_SCALES - 1):
            pairs.append(F.avg_pool2d(pairs[-1], 2))
        mask = torch.zeros_like(pairs[-1][:, :1])
        for level, pair in enumerate(reversed(pairs)):
            below = _double(mask, pair.shape[-2:]) if level else mask
            refined = self.mask_finder_1["netBasic"](torch.cat([pair, below], dim=1))
            mask = refined.sigmoid() + below
        return mask


def load_multi_scale_mask(path: str | Path) -> MultiScaleMask:
    """Load a frozen mask network from a file in the layout of MILO.pth.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file holds something else.
    """
    state = load_state_dict(path)
    with torch.device("meta"):  # no weights are drawn: the file has all of them
        network = MultiScaleMask()
    network = network.to_empty(device="cpu")
    try:
        network.load_state_dict({k: v for k, v in state.items() if k.startswith("mask_finder_")})
    except RuntimeError as error:
        raise ValueError(f"{path}: expected weights of MILO: {error}") from error
    return freeze(network)


class MILO(EnhancedLoss, MAE):
    """MILO: mean(M * |x - y|), lower is better, 0 for identical images; M lies in [0, 4].

    Args:
        masks: file of the mask; None for the authors' MILO.pth in the cache.
        mask_gradient: whether gradients also flow through the mask to the prediction.
        reduction: "mean", "sum" or "none" over the batch.
        weights: the former name of `masks`.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: the file holds something else.
    """

    min_side = 2 ** (NUM_SCALES - 1)

    def __init__(
        self,
        masks: str | Path | None = None,
        mask_gradient: bool = False,
        reduction: str = "mean",
        weights: str | Path | None = None,
    ):
        masks = renamed_masks(masks, weights, "MILO")
        masks = AUTHORS_MASK if masks is None else masks
        super().__init__(masks, "distorted_first", mask_gradient, reduction)

    @staticmethod
    def load(masks: str | Path, order: str) -> VisualMasks:
        """Load the multi-scale mask network."""
        return load_multi_scale_mask(masks)
