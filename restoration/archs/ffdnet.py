"""FFDNet (Zhang, Zuo and Zhang 2018, arXiv:1710.04026), written from the paper.

State-dict names match the released weights. The noise level comes as the last channel of the image,
as `datasets.noise_map` gives it, and not as a number beside it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

SCALE = 2  # the network works on images of half the sides, four times the channels


class FFDNet(nn.Module):
    """Convolutions at half resolution that are told the noise level of every pixel.

    Args:
        inp_channels: channels of the image with its noise level: 4 colour, 2 grey.
        out_channels: channels of the result: 3 colour, 1 grey.
        num_features: channels of the features: 96 colour, 64 grey.
        num_layers: convolutions: 12 colour, 15 grey.

    Raises:
        ValueError: the image has not one channel more than the result, or there are less than two
            layers.
    """

    multiple = SCALE

    def __init__(
        self,
        inp_channels: int = 4,
        out_channels: int = 3,
        num_features: int = 96,
        num_layers: int = 12,
    ) -> None:
        super().__init__()
        if inp_channels != out_channels + 1:
            raise ValueError(
                f"expected inp_channels = out_channels + 1, the last one for the noise level, got "
                f"{inp_channels} and {out_channels}"
            )
        if num_layers < 2:
            raise ValueError(f"expected num_layers >= 2, got {num_layers}")
        self.inp_channels, self.out_channels = inp_channels, out_channels
        widths = [out_channels * SCALE**2 + 1, *[num_features] * (num_layers - 1)]
        layers: list[nn.Module] = []
        for width, following in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(width, following, 3, padding=1), nn.ReLU(inplace=True)]
        layers.append(nn.Conv2d(widths[-1], out_channels * SCALE**2, 3, padding=1))
        self.model = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        """Restore images.

        Args:
            image: (B, inp_channels, H, W), H and W even: degraded image in [0, 1] up to the noise,
                and the standard deviation of the noise in the same units.

        Returns:
            Restored images (B, out_channels, H, W), not clamped.
        """
        small = functional.pixel_unshuffle(image[:, :-1], SCALE)  # (B, 4C, H/2, W/2)
        level = image[:, -1:, ::SCALE, ::SCALE]  # (B, 1, H/2, W/2)
        return functional.pixel_shuffle(self.model(torch.cat([small, level], 1)), SCALE)
