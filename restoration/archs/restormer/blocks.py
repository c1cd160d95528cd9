"""Restormer's transformer block (arXiv:2111.09881, section 3), plain and fast.

The modules hold the weights under the released names, and their own `forward` is the paper's maths
line by line: that is what compilers and tracers see, what runs where a layer has a hook or was
replaced, and what tests compare. Otherwise a block takes the same weights through
`restoration.archs.restormer.fused_feed_forward`, which keeps less and copies nothing.

Letters: B images, C channels, H x W pixels; N heads, D channels per head.
"""

from collections import OrderedDict
from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as modules
from torch.utils.checkpoint import checkpoint

from restoration.archs.restormer.fused_attention import attend
from restoration.archs.restormer.fused_feed_forward import (
    Convolution,
    depthwise,
    feed_forward,
    norm_project,
)
from restoration.archs.restormer.kernels import EAGER, Kernels

NORMS = ("BiasFree", "WithBias")
Branches = tuple[Convolution, Convolution, Convolution, Convolution, Convolution]
ALIGNED = 16  # hidden channels are filled up with zeros to a multiple: libraries are fast on those


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
    heads, width = temperature.shape[0], value.shape[-1]
    query, key, value = (
        rearrange(maps, "b (n d) h w -> b n d (h w)", n=heads) for maps in (query, key, value)
    )
    cosine = F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).mT  # (B, N, D, D)
    mixed = (cosine * temperature).softmax(dim=-1) @ value  # (B, N, D, HW)
    return rearrange(mixed, "b n d (h w) -> b (n d) h w", w=width)


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

    def branches(self, dtype: torch.dtype) -> Branches:
        """The weights as `fused.feed_forward` takes them: gate and content apart.

        Zeros fill the hidden channels up to a multiple of ALIGNED; they stay zero to the end.

        Args:
            dtype: type of the maps.

        Returns:
            Weight and bias of the two first projections, the two kernels, and the last projection.
        """
        hidden = self.project_out.in_channels
        missing = -hidden % ALIGNED if hidden > ALIGNED else 0
        gate, content = (_filled_layer(h, missing) for h in _halves(self.project_in, dtype))
        kernels = (_filled_layer(h, missing) for h in _halves(self.dwconv, dtype))
        gate_kernel, content_kernel = kernels
        weight, bias = _parts(self.project_out, dtype)
        return gate, content, gate_kernel, content_kernel, (_filled(weight, missing, dim=1), bias)


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
        self.norm1 = named("body", ChannelNorm(dim, layer_norm_type))
        self.attn = Attention(dim, num_heads, bias)
        self.norm2 = named("body", ChannelNorm(dim, layer_norm_type))
        self.ffn = FeedForward(dim, expansion, bias)
        self.kernels: Kernels = EAGER
        self.checkpointed = False

    def forward(self, x: Tensor) -> Tensor:
        """Refine features (B, C, H, W); same shape."""
        if self.checkpointed and torch.is_grad_enabled() and not is_transformed():
            return checkpoint(self._refine, x, use_reentrant=False, preserve_rng_state=False)
        return self._refine(x)

    def _refine(self, x: Tensor) -> Tensor:
        if _is_seen_into(x) or self._touched():
            x = x + self.attn(self.norm1(x))
            return x + self.ffn(self.norm2(x))
        kind, attn = x.device.type, self.attn
        lowered = torch.is_autocast_enabled(kind)
        dtype = torch.get_autocast_dtype(kind) if lowered else attn.qkv.weight.dtype
        with torch.autocast(kind, enabled=False):
            mixed = norm_project(
                x, _parts(_body(self.norm1)), _parts(attn.qkv, dtype), kernels=self.kernels
            )[0]  # (B, 3C, H, W)
            mixed = depthwise(mixed, *_parts(attn.qkv_dwconv, dtype))
            projection = _parts(attn.project_out, dtype)
            x = attend(x, mixed, attn.temperature, projection, self.kernels)
            del mixed
            norm = _parts(_body(self.norm2))
            return feed_forward(x, norm, *self.ffn.branches(dtype), kernels=self.kernels)

    def _touched(self) -> bool:
        """Whether a layer has a hook or another forward than its class had: that must run."""
        attn, ffn = self.attn, self.ffn
        layers: tuple[nn.Module, ...] = (
            *(self.norm1, _body(self.norm1), attn, attn.qkv, attn.qkv_dwconv, attn.project_out),
            *(self.norm2, _body(self.norm2), ffn, ffn.project_in, ffn.dwconv, ffn.project_out),
        )
        return _has_global_hook() or any(map(_is_changed, layers))


def _has_global_hook() -> bool:
    """Whether there is a hook of all modules."""
    return bool(
        modules._global_forward_pre_hooks
        or modules._global_forward_hooks
        or modules._global_backward_pre_hooks
        or modules._global_backward_hooks
    )


def _is_seen_into(x: Tensor) -> bool:
    """Whether something follows every operation, and could not follow a Function of ours."""
    compiled = torch.compiler.is_compiling() or torch.jit.is_tracing()
    return x.is_meta or compiled or is_transformed()


def is_transformed() -> bool:
    """Whether `torch.func` transforms what runs, or derivatives are taken forwards."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def _body(norm: nn.Sequential) -> ChannelNorm:
    """The norm behind the name that the released weights have."""
    return cast(ChannelNorm, norm.body)


def _is_changed(layer: nn.Module) -> bool:
    """Whether calling a layer does something else than the forward of a known class."""
    return bool(
        type(layer) not in FUSED
        or "forward" in vars(layer)
        or layer._forward_hooks
        or layer._forward_pre_hooks
        or layer._backward_hooks
        or layer._backward_pre_hooks
    )


def _parts(module: nn.Conv2d | ChannelNorm, dtype: torch.dtype | None = None) -> Convolution:
    """Weight and bias of a layer, of another type where one is given."""
    weight: Tensor = module.weight
    bias: Tensor | None = module.bias
    if weight.shape[1:2] == (1,):
        # the same numbers, but gradients in the weight's own strides: DDP copies others
        weight = weight.flatten(1).unflatten(1, weight.shape[1:])
    if dtype is None:
        return weight, bias
    return weight.to(dtype), None if bias is None else bias.to(dtype)


def _halves(module: nn.Conv2d, dtype: torch.dtype) -> tuple[Convolution, Convolution]:
    """Weight and bias of the first and of the second half of a layer's output channels."""
    weight, bias = _parts(module, dtype)
    first, second = weight.chunk(2)
    if bias is None:
        return (first, None), (second, None)
    first_bias, second_bias = bias.chunk(2)
    return (first, first_bias), (second, second_bias)


def _filled(tensor: Tensor, missing: int, dim: int = 0) -> Tensor:
    """Append zeros to a dimension."""
    if not missing:
        return tensor
    return F.pad(tensor, (0, 0) * (tensor.dim() - 1 - dim) + (0, missing))


def _filled_layer(layer: Convolution, missing: int) -> Convolution:
    """Append output channels of zeros to a layer."""
    weight, bias = layer
    return _filled(weight, missing), None if bias is None else _filled(bias, missing)


FUSED = (nn.Sequential, nn.Conv2d, ChannelNorm, Attention, FeedForward)  # whose forward is known


def named(name: str, module: nn.Module) -> nn.Sequential:
    """One module under a name of its own, as the released weights have it."""
    return nn.Sequential(OrderedDict([(name, module)]))
