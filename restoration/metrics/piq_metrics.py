"""Training-free metrics of `piq`: HaarPSI, MDSI, VSI, FSIM, GMSD and what derives from them.

They come with the extra [masks]. Images are RGB in [0, 1]; a grey channel is repeated. Each is
`piq`'s function with its own settings, at its own viewing scale.
"""

from collections.abc import Callable
from importlib import import_module

import torch
from torch import Tensor

from restoration.metrics.learned import MetricUnavailable, as_rgb

# by name: piq's function, heading, which way is better
PIQ: dict[str, tuple[str, str, bool]] = {
    "haarpsi": ("haarpsi", "HaarPSI", True),
    "mdsi": ("mdsi", "MDSI", False),
    "vsi": ("vsi", "VSI", True),
    "fsim": ("fsim", "FSIM", True),
    "gmsd": ("gmsd", "GMSD", False),
    "ms_gmsd": ("multi_scale_gmsd", "MS-GMSD", False),
    "iw_ssim": ("information_weighted_ssim", "IW-SSIM", True),
}


class PiqMetric:
    """One of `piq`'s functions, on single or grey images too.

    Args:
        name: a key of `PIQ`.

    Raises:
        MetricUnavailable: `piq` is not installed.
    """

    def __init__(self, name: str):
        self.name = name
        self._function()

    def _function(self) -> Callable[..., Tensor]:
        try:
            piq = import_module("piq")
        except ImportError as error:
            raise MetricUnavailable(
                f"{PIQ[self.name][1]} is unavailable: it needs the package piq (pip install piq)"
            ) from error
        function: Callable[..., Tensor] = getattr(piq, PIQ[self.name][0])
        return function

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compare (B, 3 or 1, H, W) images in [0, 1] -> (B,)."""
        x, y = as_rgb(prediction).clamp(0, 1), as_rgb(target).clamp(0, 1)
        function = self._function()  # image by image: IW-SSIM of a batch depends on all of it
        pairs = zip(x.split(1), y.split(1), strict=True)
        return torch.cat([function(a, b, data_range=1.0, reduction="none") for a, b in pairs])
