"""Restormer (Zamir et al., CVPR 2022, arXiv:2111.09881), written from the paper.

A U-shaped network of transformer blocks whose attention runs over channels, so that its cost
grows linearly with the number of pixels. State-dict names match the released weights, which load
strictly. What differs from the paper is only how things are computed: tensors stay in
(B, C, H, W) throughout. `restormer_s` and `restormer_xs` are settings of this project for small
machines; the paper has none.

Letters: B images, C channels, H x W pixels; N heads, D channels per head.
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORMS = ("BiasFree", "WithBias")


def channel_norm(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Layer normalisation over the channels of every pixel.

    Without a bias the mean is not subtracted either, only the standard deviation divides.

    Args:
        x: features (B, C, H, W), any range.
        weight: scale of each channel (C,).
        bias: shift of each channel (C,), or None for the bias-free form.
        eps: added to the biased variance.

    Returns:
        Normalised features (B, C, H, W).

    Source:
        Ba et al. 2016, arXiv:1607.06450; the bias-free form: Mohan et al. 2020, arXiv:1906.05478.
    """
    mean = x.mean(1, keepdim=True)  # (B, 1, H, W)
    centred = x - mean
    scale = torch.rsqrt(centred.square().mean(1, keepdim=True) + eps)  # (B, 1, H, W)
    if bias is None:
        return x * scale * weight[:, None, None]
    return centred * scale * weight[:, None, None] + bias[:, None, None]


def channel_attention(query: Tensor, key: Tensor, value: Tensor, temperature: Tensor) -> Tensor:
    """Attention between the channels of each head; every channel is one token of H*W numbers.

    Args:
        query: (B, C, H, W); its channels are split into N heads of D channels.
        key: (B, C, H, W).
        value: (B, C, H, W).
        temperature: what multiplies the cosine of two channels, (N, 1, 1).

    Returns:
        Mixed values (B, C, H, W).

    Source:
        arXiv:2111.09881, equation 1.
    """
    shape, num_heads = value.shape, temperature.shape[0]
    size = (shape[0], num_heads, shape[1] // num_heads, shape[2] * shape[3])
    query, key, value = (t.reshape(size) for t in (query, key, value))  # (B, N, D, HW)
    cosine = F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).transpose(-2, -1)  # (B, N, D, D)
    return ((cosine * temperature).softmax(dim=-1) @ value).reshape(shape)


class ChannelNorm(nn.Module):
    """Learned `channel_norm`.

    Args:
        dim: number of channels.
        layer_norm_type: "BiasFree" or "WithBias".
    """

    def __init__(self, dim: int, layer_norm_type: str = "BiasFree") -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim)) if layer_norm_type == "WithBias" else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W) over C; see `channel_norm`."""
        return channel_norm(x, self.weight, self.bias)


class Attention(nn.Module):
    """MDTA, multi-Dconv head transposed attention (section 3.1 of the paper).

    Args:
        dim: number of channels, a multiple of num_heads.
        num_heads: number of heads, each with its own temperature.
        bias: whether the convolutions have one.
    """

    def __init__(self, dim: int, num_heads: int, bias: bool = False) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(num_heads, 1, 1))
        self.qkv = nn.Conv2d(dim, 3 * dim, 1, bias=bias)
        self.qkv_dwconv = nn.Conv2d(3 * dim, 3 * dim, 3, padding=1, groups=3 * dim, bias=bias)
        self.project_out = nn.Conv2d(dim, dim, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the channels of (B, C, H, W) by their similarity; same shape."""
        query, key, value = self.qkv_dwconv(self.qkv(x)).chunk(3, dim=1)
        return self.project_out(channel_attention(query, key, value, self.temperature))


class FeedForward(nn.Module):
    """GDFN, gated-Dconv feed-forward network (section 3.2 of the paper).

    Args:
        dim: number of channels.
        expansion: hidden channels per channel; the product is rounded down.
        bias: whether the convolutions have one.
    """

    def __init__(self, dim: int, expansion: float = 2.66, bias: bool = False) -> None:
        super().__init__()
        hidden = int(dim * expansion)
        self.project_in = nn.Conv2d(dim, 2 * hidden, 1, bias=bias)
        self.dwconv = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=bias)
        self.project_out = nn.Conv2d(hidden, dim, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Transform every pixel of (B, C, H, W), one half gating the other; same shape."""
        gate, content = self.dwconv(self.project_in(x)).chunk(2, dim=1)
        return self.project_out(F.gelu(gate) * content)


class TransformerBlock(nn.Module):
    """Attention, then feed-forward, each on normalised features and added to its input.

    Args:
        dim: number of channels, a multiple of num_heads.
        num_heads: heads of the attention.
        expansion: hidden channels of the feed-forward per channel.
        bias: whether the convolutions have one.
        layer_norm_type: "BiasFree" or "WithBias".
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        expansion: float = 2.66,
        bias: bool = False,
        layer_norm_type: str = "BiasFree",
    ) -> None:
        super().__init__()
        self.norm1 = _named("body", ChannelNorm(dim, layer_norm_type))
        self.attn = Attention(dim, num_heads, bias)
        self.norm2 = _named("body", ChannelNorm(dim, layer_norm_type))
        self.ffn = FeedForward(dim, expansion, bias)

    def forward(self, x: Tensor) -> Tensor:
        """Refine features (B, C, H, W); same shape."""
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))


def _named(name: str, module: nn.Module) -> nn.Sequential:
    """One module under a name of its own, as the released weights have it."""
    return nn.Sequential(OrderedDict([(name, module)]))


def _downsample(dim: int) -> nn.Sequential:
    """Halve the size and double the channels: (B, C, H, W) -> (B, 2C, H/2, W/2)."""
    conv = nn.Conv2d(dim, dim // 2, 3, padding=1, bias=False)
    return _named("body", nn.Sequential(conv, nn.PixelUnshuffle(2)))


def _upsample(dim: int) -> nn.Sequential:
    """Double the size and halve the channels: (B, C, H, W) -> (B, C/2, 2H, 2W)."""
    conv = nn.Conv2d(dim, 2 * dim, 3, padding=1, bias=False)
    return _named("body", nn.Sequential(conv, nn.PixelShuffle(2)))


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
        self.patch_embed = _named("proj", conv3x3(inp_channels, dim, bias=False))
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
        embedded = self.patch_embed(image)  # (B, C, H, W)
        level1 = self.encoder_level1(embedded)  # (B, C, H, W)
        level2 = self.encoder_level2(self.down1_2(level1))  # (B, 2C, H/2, W/2)
        level3 = self.encoder_level3(self.down2_3(level2))  # (B, 4C, H/4, W/4)
        x = self.latent(self.down3_4(level3))  # (B, 8C, H/8, W/8)

        x = self.reduce_chan_level3(torch.cat([self.up4_3(x), level3], dim=1))
        x = self.decoder_level3(x)  # (B, 4C, H/4, W/4)
        x = self.reduce_chan_level2(torch.cat([self.up3_2(x), level2], dim=1))
        x = self.decoder_level2(x)  # (B, 2C, H/2, W/2)
        x = self.decoder_level1(torch.cat([self.up2_1(x), level1], dim=1))  # (B, 2C, H, W)
        x = self.refinement(x)
        if self.skip_conv is not None:
            return self.output(x + self.skip_conv(embedded))
        return self.output(x) + image

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


def _check_scales(dim: int, num_blocks: Sequence[int], heads: Sequence[int]) -> None:
    if dim < 2 or dim % 2:
        raise ValueError(f"expected dim to be even and at least 2, got {dim}")
    if len(num_blocks) != 4 or min(num_blocks) < 0:
        raise ValueError(f"expected num_blocks to be 4 numbers >= 0, got {list(num_blocks)}")
    if len(heads) != 4 or min(heads) < 1:
        raise ValueError(f"expected heads to be 4 numbers >= 1, got {list(heads)}")
    # The decoder's full resolution has 2*dim channels and the heads of the first scale.
    for width, num in zip((dim, 2 * dim, 4 * dim, 8 * dim), heads, strict=True):
        if width % num:
            raise ValueError(f"expected heads that divide the channels, got {num} for {width}")


def _check_settings(num_refinement_blocks: int, hidden: float, layer_norm_type: str) -> None:
    if num_refinement_blocks < 0:
        raise ValueError(f"expected num_refinement_blocks >= 0, got {num_refinement_blocks}")
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
