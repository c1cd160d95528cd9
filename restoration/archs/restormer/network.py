"""Restormer (Zamir et al., CVPR 2022, arXiv:2111.09881), written from the paper.

A U-shaped network of transformer blocks whose attention runs over channels, so that its cost
grows linearly with the number of pixels. State-dict names match the released weights, which load
strictly. What differs from the paper is only how things are computed: see `blocks`; and the
channels of a pixel lie side by side in memory (channels-last). `restormer_s` and `restormer_xs` are
settings of this project for small machines; the paper has none.

Letters: B images, C channels, H x W pixels; N heads, D channels per head.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from restoration.archs.restormer.blocks import NORMS, TransformerBlock, is_transformed, named
from restoration.archs.restormer.kernels import compiled

CHECKPOINTED = ("none", "level1", "all")


def _downsample(dim: int) -> nn.Sequential:
    """Halve the size and double the channels: (B, C, H, W) -> (B, 2C, H/2, W/2)."""
    conv = nn.Conv2d(dim, dim // 2, 3, padding=1, bias=False)
    return named("body", nn.Sequential(conv, nn.PixelUnshuffle(2)))


def _upsample(dim: int) -> nn.Sequential:
    """Double the size and halve the channels: (B, C, H, W) -> (B, C/2, 2H, 2W)."""
    conv = nn.Conv2d(dim, 2 * dim, 3, padding=1, bias=False)
    return named("body", nn.Sequential(conv, nn.PixelShuffle(2)))


class Restormer(nn.Module):
    """Restoration transformer of four scales with a residual from input to output.

    The defaults are the paper's setting for denoising: 26,111,668 parameters.

    Args:
        inp_channels: channels of the image: 3 colour, 1 grey, 6 dual pixel.
        out_channels: channels of the result; equal to inp_channels unless dual_pixel_task.
        dim: channels at full resolution, even; they double at every scale.
        num_blocks: transformer blocks at each of the four scales.
        num_refinement_blocks: blocks after the decoder, at full resolution, 2*dim channels.
        heads: attention heads at each of the four scales; dim * 2**scale must be a multiple.
        ffn_expansion_factor: hidden channels of the feed-forward per channel.
        bias: whether convolutions have one (patch embedding and resampling never do).
        LayerNorm_type: "BiasFree" (best for denoising) or "WithBias".
        dual_pixel_task: for defocus deblurring from two views: the residual joins the features
            before the last convolution, not the image.

    Raises:
        ValueError: an argument is out of its range.

    Source:
        arXiv:2111.09881.
    """

    multiple = 8
    channels_last = True

    def __init__(
        self,
        inp_channels: int = 3,
        out_channels: int = 3,
        dim: int = 48,
        num_blocks: Sequence[int] = (4, 6, 6, 8),
        num_refinement_blocks: int = 4,
        heads: Sequence[int] = (1, 2, 4, 8),
        ffn_expansion_factor: float = 2.66,
        bias: bool = False,
        LayerNorm_type: str = "BiasFree",
        dual_pixel_task: bool = False,
    ) -> None:
        super().__init__()
        _check_scales(dim, num_blocks, heads)
        _check_settings(num_refinement_blocks, ffn_expansion_factor * dim, LayerNorm_type)
        _check_channels(inp_channels, out_channels, dual_pixel_task)
        self.inp_channels, self.out_channels = inp_channels, out_channels

        def stage(scale: int, num: int, width: int) -> nn.Sequential:
            settings = (width, heads[scale], ffn_expansion_factor, bias, LayerNorm_type)
            return nn.Sequential(*(TransformerBlock(*settings) for _ in range(num)))

        dims = [dim * 2**scale for scale in range(4)]
        conv3x3 = partial(nn.Conv2d, kernel_size=3, padding=1)
        self.patch_embed = named("proj", conv3x3(inp_channels, dim, bias=False))
        self.encoder_level1 = stage(0, num_blocks[0], dims[0])
        self.down1_2 = _downsample(dims[0])
        self.encoder_level2 = stage(1, num_blocks[1], dims[1])
        self.down2_3 = _downsample(dims[1])
        self.encoder_level3 = stage(2, num_blocks[2], dims[2])
        self.down3_4 = _downsample(dims[2])
        self.latent = stage(3, num_blocks[3], dims[3])
        self.up4_3 = _upsample(dims[3])
        self.reduce_chan_level3 = nn.Conv2d(dims[3], dims[2], 1, bias=bias)
        self.decoder_level3 = stage(2, num_blocks[2], dims[2])
        self.up3_2 = _upsample(dims[2])
        self.reduce_chan_level2 = nn.Conv2d(dims[2], dims[1], 1, bias=bias)
        self.decoder_level2 = stage(1, num_blocks[1], dims[1])
        self.up2_1 = _upsample(dims[1])  # no reduction at the first scale: it keeps 2*dim channels
        self.decoder_level1 = stage(0, num_blocks[0], dims[1])
        self.refinement = stage(0, num_refinement_blocks, dims[1])
        self.skip_conv = nn.Conv2d(dim, dims[1], 1, bias=bias) if dual_pixel_task else None
        self.output = conv3x3(dims[1], out_channels, bias=bias)

    def forward(self, image: Tensor) -> Tensor:
        """Restore images whose sides are multiples of 8.

        Args:
            image: degraded images (B, inp_channels, H, W), in [0, 1] up to the noise.

        Returns:
            Restored images (B, out_channels, H, W), not clamped.

        Raises:
            ValueError: wrong number of channels, or a side that is not a multiple of 8
                (`restoration.archs.restore` pads).
        """
        self._check_image(image)
        embedded = self._arranged(self.patch_embed(self._arranged(image)))  # (B, C, H, W)
        level1 = self.encoder_level1(embedded)  # (B, C, H, W)
        level2 = self.encoder_level2(self._arranged(self.down1_2(level1)))  # (B, 2C, H/2, W/2)
        level3 = self.encoder_level3(self._arranged(self.down2_3(level2)))  # (B, 4C, H/4, W/4)
        x = self.latent(self._arranged(self.down3_4(level3)))  # (B, 8C, H/8, W/8)

        x = self._joined(self.up4_3(x), level3)
        x = self.decoder_level3(self.reduce_chan_level3(x))  # (B, 4C, H/4, W/4)
        x = self._joined(self.up3_2(x), level2)
        x = self.decoder_level2(self.reduce_chan_level2(x))  # (B, 2C, H/2, W/2)
        x = self.decoder_level1(self._joined(self.up2_1(x), level1))  # (B, 2C, H, W)
        x = self.refinement(x)
        if self.skip_conv is not None:
            return self.output(x + self.skip_conv(embedded))
        return self.output(x) + image

    def blocks(self, only_full_size: bool = False) -> list[TransformerBlock]:
        """The transformer blocks, all of them or those that see every pixel."""
        full_size = (self.encoder_level1, self.decoder_level1, self.refinement)
        parts = full_size if only_full_size else (self,)
        return [m for part in parts for m in part.modules() if isinstance(m, TransformerBlock)]

    def compile_parts(self) -> None:
        """Run elementwise chains through `torch.compile`; equal ones are compiled once."""
        for block in self.blocks():
            block.kernels = compiled()

    def checkpoint(self, which: str) -> None:
        """Keep only the inputs of blocks for the backward pass, which runs them again.

        Args:
            which: "none", "level1" (the blocks of full resolution) or "all".

        Raises:
            ValueError: another word.
        """
        if which not in CHECKPOINTED:
            raise ValueError(f"expected checkpointing to be one of {CHECKPOINTED}, got {which!r}")
        chosen = [] if which == "none" else self.blocks(only_full_size=which == "level1")
        for block in self.blocks():
            block.checkpointed = any(block is other for other in chosen)

    def _joined(self, x: Tensor, skipped: Tensor) -> Tensor:
        return torch.cat([self._arranged(x), skipped], dim=1)

    def _arranged(self, x: Tensor) -> Tensor:
        """The same numbers in the memory format that the blocks are to work in."""
        if is_transformed():  # `vmap` knows no formats
            return x
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return x.contiguous(memory_format=layout)

    def _check_image(self, image: Tensor) -> None:
        if image.dim() != 4 or image.shape[1] != self.inp_channels:
            raise ValueError(
                f"expected images (B, {self.inp_channels}, H, W), got {tuple(image.shape)}"
            )
        height, width = image.shape[-2:]
        if height % self.multiple or width % self.multiple or not height * width:
            raise ValueError(
                f"expected height and width to be multiples of {self.multiple}, "
                f"got {height}x{width}; restoration.archs.restore pads and crops"
            )


MOST_BLOCKS = 1000  # of a scale


def _check_scales(dim: int, num_blocks: Sequence[int], heads: Sequence[int]) -> None:
    if dim < 2 or dim % 2:
        raise ValueError(f"expected dim to be even and at least 2, got {dim}")
    if len(num_blocks) != 4 or not 0 <= min(num_blocks) <= max(num_blocks) <= MOST_BLOCKS:
        raise ValueError(
            f"expected num_blocks to be 4 numbers in [0, {MOST_BLOCKS}], got {list(num_blocks)}"
        )
    if len(heads) != 4 or min(heads) < 1:
        raise ValueError(f"expected heads to be 4 numbers >= 1, got {list(heads)}")
    # The decoder's full resolution has 2*dim channels and the heads of the first scale.
    for width, num in zip((dim, 2 * dim, 4 * dim, 8 * dim), heads, strict=True):
        if width % num:
            raise ValueError(f"expected heads that divide the channels, got {num} for {width}")


def _check_settings(num_refinement_blocks: int, hidden: float, layer_norm_type: str) -> None:
    if not 0 <= num_refinement_blocks <= MOST_BLOCKS:
        raise ValueError(
            f"expected num_refinement_blocks in [0, {MOST_BLOCKS}], got {num_refinement_blocks}"
        )
    if hidden < 1:
        raise ValueError(f"expected ffn_expansion_factor * dim >= 1, got {hidden}")
    if layer_norm_type not in NORMS:
        raise ValueError(f"expected LayerNorm_type to be one of {NORMS}, got {layer_norm_type!r}")


def _check_channels(inp_channels: int, out_channels: int, dual_pixel_task: bool) -> None:
    if inp_channels < 1 or out_channels < 1:
        raise ValueError(f"expected channels >= 1, got {inp_channels} and {out_channels}")
    if not dual_pixel_task and inp_channels != out_channels:
        raise ValueError(
            "expected out_channels equal to inp_channels without dual_pixel_task, "
            f"got {inp_channels} and {out_channels}"
        )


restormer_s = partial(Restormer, dim=24, num_blocks=(2, 3, 3, 4), num_refinement_blocks=2)
restormer_xs = partial(Restormer, dim=16, num_blocks=(1, 1, 1, 1), num_refinement_blocks=0)
