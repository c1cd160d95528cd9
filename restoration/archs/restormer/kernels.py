"""Elementwise chains of Restormer's blocks, forward and backward, as pure functions.

Run as they are, every line of them reads and writes whole feature maps; `torch.compile` makes one
loop of each. `EAGER` holds the plain functions, `compiled()` the same ones compiled: once for all
sizes, widths and blocks, since their shapes are dynamic. Convolutions and matrix products are not
here: they are library calls either way.

Letters: B images, C channels, H x W pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from inspect import signature
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

NUM_VARIANTS = 64  # of one compiled kernel: types, memory formats, with and without gradients


def is_channels_last(x: Tensor) -> bool:
    """Whether the channels of (B, C, H, W) lie side by side in memory."""
    return not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)


def accumulator(x: Tensor) -> torch.dtype:
    """Type of sums over many numbers: at least float32."""
    return torch.promote_types(x.dtype, torch.float32)


def statistics(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Mean and inverse standard deviation over the channels of every pixel.

    Args:
        x: features (B, C, H, W).
        eps: added to the biased variance.

    Returns:
        Both (B, 1, H, W), at least float32.
    """
    if is_channels_last(x) and not torch.compiler.is_compiling():
        rows = x.permute(0, 2, 3, 1)  # (B, H, W, C): one pass; its normalised rows are not used
        ones = torch.ones(x.shape[1], dtype=accumulator(x), device=x.device)
        _, mean, scale = torch.native_layer_norm(rows, (x.shape[1],), ones, ones, eps)
        return mean.permute(0, 3, 1, 2), scale.permute(0, 3, 1, 2)
    x = x.to(accumulator(x))
    mean = x.mean(1, keepdim=True)
    return mean, (x - mean).square().mean(1, keepdim=True).add(eps).rsqrt()


def normalise(
    x: Tensor,
    mean: Tensor,
    scale: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    dtype: torch.dtype,
) -> Tensor:
    """Divide by the standard deviation and scale; with a bias, subtract the mean and shift.

    Args:
        x: features (B, C, H, W).
        mean: of every pixel, (B, 1, H, W).
        scale: inverse standard deviation of every pixel, (B, 1, H, W).
        weight: scale of each channel (C,).
        bias: shift of each channel (C,), or None.
        dtype: type of the result; it is computed in at least float32.

    Returns:
        Normalised features (B, C, H, W).
    """
    if bias is None:
        return (x * scale).mul_(weight[:, None, None]).to(dtype)
    standard = (x - mean).mul_(scale)
    return standard.mul_(weight[:, None, None]).add_(bias[:, None, None]).to(dtype)


def normalise_backward(
    grad: Tensor, x: Tensor, mean: Tensor, scale: Tensor, weight: Tensor, centred: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients of `normalise` and its statistics with respect to x, weight and bias.

    Args:
        grad: gradient of the result (B, C, H, W).
        x: as given to `normalise`, and so are the next three.
        mean: see there.
        scale: see there.
        weight: see there.
        centred: whether there was a bias.

    Returns:
        (B, C, H, W) of x's type, (C,), and (C,) or None.
    """
    standard = (x - mean).mul_(scale) if centred else x * scale
    product = grad * standard
    by_weight, by_bias = product.sum((0, 2, 3)), grad.sum((0, 2, 3)) if centred else None
    factors = weight[:, None, None]
    common = (product * factors).mean(1, keepdim=True)
    inner = grad * factors
    if centred:
        inner = inner.sub_(inner.mean(1, keepdim=True))
    else:
        standard = (x - mean).mul_(scale)
    by_x = inner.addcmul_(standard, common, value=-1).mul_(scale)
    return by_x.to(x.dtype), by_weight, by_bias


def norm(
    x: Tensor, eps: float, weight: Tensor, bias: Tensor | None, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """`statistics` and what `normalise` makes of them.

    Args:
        x: features (B, C, H, W).
        eps: added to the biased variance.
        weight: scale of each channel (C,).
        bias: shift of each channel (C,), or None.
        dtype: type of the normalised features.

    Returns:
        Normalised features (B, C, H, W); mean and scale (B, 1, H, W).
    """
    mean, scale = statistics(x, eps)
    return normalise(x, mean, scale, weight, bias, dtype), mean, scale


def gate(gated: Tensor, filled: Tensor) -> Tensor:
    """gelu(gated) * filled, all of one shape."""
    return F.gelu(gated).mul_(filled)


def gate_backward(grad: Tensor, gated: Tensor, filled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`gate` again, and its gradients with respect to its two arguments."""
    activated = F.gelu(gated)
    product = activated * filled
    by_gated = torch.ops.aten.gelu_backward(grad * filled, gated)
    return product, by_gated, activated.mul_(grad)


def gate_backward_(grad: Tensor, gated: Tensor, filled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`gate_backward` that writes the product over `filled` and the last gradient over `grad`."""
    activated = F.gelu(gated)
    by_gated = torch.ops.aten.gelu_backward(grad * filled, gated)
    return filled.mul_(activated), by_gated, grad.mul_(activated)


def squares(maps: Tensor) -> Tensor:
    """Sum over the pixels of the squares of every channel: (B, C, H, W) -> (B, C)."""
    return maps.to(accumulator(maps)).square().sum((2, 3))


def pull_apart(
    by_query: Tensor, query: Tensor, by_key: Tensor, key: Tensor, away: Tensor, by_value: Tensor
) -> Tensor:
    """Gradient of query, key and value, one after the other, from the parts of the cosines.

    Args:
        by_query: pull of the keys on each query (B, C, H, W).
        query: (B, C, H, W).
        by_key: pull of the queries on each key (B, C, H, W).
        key: (B, C, H, W).
        away: share of itself that each query and key loses, (B, 2C, 1, 1).
        by_value: gradient of the values (B, C, H, W).

    Returns:
        (B, 3C, H, W).
    """
    channels = query.shape[1]
    by_query = by_query.addcmul(query, away[:, :channels], value=-1)
    by_key = by_key.addcmul(key, away[:, channels:], value=-1)
    return torch.cat([by_query, by_key, by_value], 1)


@dataclass(frozen=True)
class Kernels:
    """The functions above, as they are or compiled."""

    norm: Callable[..., tuple[Tensor, Tensor, Tensor]] = norm
    normalise: Callable[..., Tensor] = normalise
    normalise_backward: Callable[..., tuple[Tensor, Tensor, Tensor | None]] = normalise_backward
    gate: Callable[..., Tensor] = gate
    gate_backward: Callable[..., tuple[Tensor, Tensor, Tensor]] = gate_backward
    gate_backward_: Callable[..., tuple[Tensor, Tensor, Tensor]] = gate_backward_
    squares: Callable[..., Tensor] = squares
    pull_apart: Callable[..., Tensor] = pull_apart


EAGER = Kernels()


@cache
def compiled() -> Kernels:
    """The kernels through `torch.compile`; the work is done when each first runs.

    A torch without `recompile_limit` runs kinds of input beyond its own limit eagerly.
    """
    known = signature(torch.compile).parameters
    limit: dict[str, Any] = {"recompile_limit": NUM_VARIANTS} if "recompile_limit" in known else {}
    return Kernels(
        **{
            one.name: torch.compile(getattr(EAGER, one.name), dynamic=True, **limit)
            for one in fields(Kernels)
        }
    )
