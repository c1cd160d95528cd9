"""Noise of developed photographs: fine in brightness, coarse in colour, not alike in every tone.

A camera's own processing (demosaicing, noise reduction, sharpening) spreads the noise of a sensor
over neighbouring pixels, that of colours farther than that of brightness (Nam et al. 2016, Xu et
al. 2018, arXiv:1804.02603). A network that has seen white noise alone takes such noise for texture.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from restoration.common.luma import LUMA
from restoration.degradations.base import Degradation, Numbers, Range, by_sample
from restoration.degradations.separable import along, gaussian_window

CHROMA = ((0.0, 1.402), (-0.344136, -0.714136), (1.772, 0.0))  # of (Cb, Cr), to R, G, B


class Camera(Degradation):
    """Noise of developed photographs: correlated between pixels, and coarser in colour.

    Gaussian noise of brightness and of the two colour differences of JFIF's YCbCr, each filtered
    by a Gaussian and brought back to its standard deviation. Neither clipped nor rounded. Images
    that are not RGB get the noise of brightness in every channel.

    Args:
        sigma: standard deviation of the noise of brightness, in 0..255 units: a number,
            [low, high] or {"choice": [a, b, ...]}.
        chroma: standard deviation of the noise of Cb and of Cr, as a share of sigma.
        grain: standard deviation in pixels of the filter of brightness; 0 is white noise.
        chroma_grain: that of the filter of Cb and Cr.
        dark: how much stronger noise is in the dark: it is multiplied by 1 + dark at black and by
            1 - dark at white; in [-1, 1].

    Raises:
        ValueError: another form, or a number that is out of range.
    """

    label = "camera sigma"
    level = "sigma"

    def __init__(
        self,
        sigma: Numbers,
        chroma: Numbers = (0.2, 0.8),
        grain: Numbers = (0, 1.2),
        chroma_grain: Numbers = (0.5, 4),
        dark: Numbers = (-0.5, 0.5),
    ) -> None:
        self.numbers = (
            Range.of(sigma, "sigma"),
            Range.of(chroma, "chroma", 0, 10),
            Range.of(grain, "grain", 0, 100),
            Range.of(chroma_grain, "chroma_grain", 0, 100),
            Range.of(dark, "dark", -1, 1),
        )

    def draw(self, uniforms: Sequence[float]) -> tuple[float, ...]:
        """(sigma, chroma, grain, chroma_grain, dark)."""
        return tuple(n.at(u) for n, u in zip(self.numbers, uniforms, strict=True))

    def apply(self, clean: Tensor, parameters: Tensor, seeds: Sequence[int]) -> Tensor:
        """Add noise, (B, C, H, W); see `Degradation.apply`."""
        rows = parameters.tolist()

        def spoil(image: Tensor, number: int, generator: torch.Generator) -> Tensor:
            sigma, chroma, grain, chroma_grain, dark = rows[number][:5]
            noise = torch.empty_like(image).normal_(generator=generator)
            luma = image
            if len(image) == len(LUMA):
                luma = (image * image.new_tensor(LUMA)[:, None, None]).sum(0, keepdim=True)
                of_chroma = chroma * filtered(noise[1:], chroma_grain)
                mixed = torch.einsum("ck,khw->chw", image.new_tensor(CHROMA), of_chroma)
                noise = filtered(noise[:1], grain) + mixed
            else:
                noise = filtered(noise, grain)
            return image + sigma / 255 * (1 + dark * (1 - 2 * luma.clamp(0, 1))) * noise

        return by_sample(clean, seeds, spoil)


def filtered(noise: Tensor, width: float) -> Tensor:
    """Correlate white noise by a Gaussian filter; its variance stays, its ends meet.

    Args:
        noise: (C, H, W).
        width: standard deviation of the filter in pixels; 0 leaves the noise white.
    """
    if width == 0:
        return noise
    for dim in (1, 2):
        window = gaussian_window(noise, width, (noise.shape[dim] - 1) // 2)
        noise = along(noise, dim, window / window.norm(), "circular")
    return noise
