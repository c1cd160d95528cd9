"""Restormer's parts with gradients of their own: they keep less for the backward pass.

Autograd keeps the input and the output of nearly every operation. These functions keep what cannot
be made again cheaply: the normalised features, the gated product and, except in half precision, one
of the feed-forward's two depthwise convolutions are made a second time instead. Everything runs in
any memory format; in channels-last the 1x1 convolutions are plain matrix products and no map is
copied. Gradients of gradients are refused.

A weight and a bias that may be None always go together as a `Convolution`.

Letters: B images, C channels, H x W pixels; E hidden channels.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from restoration.archs.restormer.kernels import EAGER, Kernels

Context = Any
Convolution = tuple[Tensor, Tensor | None]
GROUP = 2**23  # numbers in one hidden map of a group, without gradients
SMALLEST_GROUP = 64
REDUCED = (torch.bfloat16, torch.float16)


def depthwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve every channel of (B, C, H, W) with a 3x3 kernel of its own, zeros around."""
    return F.conv2d(x, weight, bias, padding=1, groups=x.shape[1])


def _conv_backward(
    grad: Tensor, x: Tensor, weight: Tensor, biased: bool, wanted: tuple[bool, bool] = (True, True)
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of a convolution, 1x1 or depthwise, that keeps the size: x; weight and bias."""
    of_x, of_weight = wanted
    padding, groups = weight.shape[-1] // 2, x.shape[1] // weight.shape[1]
    return torch.ops.aten.convolution_backward(
        *(grad, x, weight, [weight.shape[0]] if biased else None),
        *(
            [1, 1],
            [padding, padding],
            [1, 1],
            False,
            [0, 0],
            groups,
            [of_x, of_weight, of_weight and biased],
        ),
    )


def without_autocast(backward: Callable[..., Any]) -> Callable[..., Any]:
    """A backward pass in the types of the forward, wherever it is called; not twice."""

    @wraps(backward)
    def run(ctx: Context, *grads: Tensor) -> Any:
        with torch.autocast(grads[0].device.type, enabled=False):
            return backward(ctx, *grads)

    return once_differentiable(run)


class _NormProject(Function):
    @staticmethod
    def forward(
        ctx: Context,
        kernels: Kernels,
        eps: float,
        x: Tensor,
        norm_weight: Tensor,
        norm_bias: Tensor | None,
        *projections: Any,  # a Tensor for every weight, and for every bias a Tensor or None
    ) -> tuple[Tensor, ...]:
        weights, biases = projections[::2], projections[1::2]
        features, mean, scale = kernels.norm(x, eps, norm_weight, norm_bias, weights[0].dtype)
        ctx.save_for_backward(x, mean, scale, norm_weight, norm_bias, *weights)
        ctx.kernels, ctx.biased = kernels, biases[0] is not None
        return tuple(F.conv2d(features, w, b) for w, b in zip(weights, biases, strict=True))

    @staticmethod
    @without_autocast
    def backward(ctx: Context, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, scale, norm_weight, norm_bias, *weights = ctx.saved_tensors
        if x.is_cpu:  # a view: kernels are compiled anew for every size of a parameter itself
            norm_weight = norm_weight.view_as(norm_weight)
        features = ctx.kernels.normalise(x, mean, scale, norm_weight, norm_bias, weights[0].dtype)
        total: Any = None
        by_projections: list[Tensor | None] = []
        for grad, weight in zip(grads, weights, strict=True):
            part, *by_projection = _conv_backward(grad, features, weight, ctx.biased)
            total = part if total is None else total.add_(part)
            by_projections += by_projection
        by_norm = ctx.kernels.normalise_backward(
            total, x, mean, scale, norm_weight, norm_bias is not None
        )
        return (None, None, *by_norm, *by_projections)


def norm_project(
    x: Tensor,
    norm: Convolution,
    *projections: Convolution,
    eps: float = 1e-5,
    kernels: Kernels = EAGER,
) -> tuple[Tensor, ...]:
    """1x1 convolutions of normalised features; the features before the norm are all it keeps.

    Args:
        x: features (B, C, H, W).
        norm: scale (C,) and shift (C,) of `channel_norm`, float32 or wider; None: bias-free.
        projections: weight (E, C, 1, 1) and bias (E,) of each; all biased or none. Their type is
            that of the results.
        eps: added to the variance.
        kernels: eager or compiled elementwise parts.

    Returns:
        One (B, E, H, W) per projection.
    """
    flat = [tensor for projection in projections for tensor in projection]
    return _NormProject.apply(kernels, eps, x, *norm, *flat)


class _GatedProject(Function):
    @staticmethod
    def forward(
        ctx: Context,
        kernels: Kernels,
        residual: Tensor,
        gate: Tensor,
        content: Tensor,
        *convolutions: Any,  # as in _NormProject
    ) -> Tensor:
        gate_weight, gate_bias, content_weight, content_bias, weight, bias = convolutions
        gated = depthwise(gate, gate_weight, gate_bias)
        filled = depthwise(content, content_weight, content_bias)
        ctx.save_for_backward(
            *(gate, content, gated, filled if gate.dtype in REDUCED else None), *convolutions
        )
        ctx.kernels = kernels
        product = kernels.gate(gated, filled)
        return F.conv2d(product, weight, bias).add_(residual)

    @staticmethod
    @without_autocast
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor | None, ...]:
        gate, content, gated, filled, *convolutions = ctx.saved_tensors
        gate_weight, gate_bias, content_weight, content_bias, weight, bias = convolutions
        gate_backward = ctx.kernels.gate_backward
        if filled is None:
            filled = depthwise(content, content_weight, content_bias)
            gate_backward = ctx.kernels.gate_backward_
        # the input's values do not matter for its own gradient: any map of its shape serves
        inner = _conv_backward(grad, gated, weight, False, (True, False))[0]
        product, by_gated, by_filled = gate_backward(inner, gated, filled)
        del inner, gated, filled
        by_output = _conv_backward(grad, product, weight, bias is not None, (False, True))[1:]
        del product
        by_content, *by_second = _conv_backward(
            by_filled, content, content_weight, content_bias is not None
        )
        del by_filled
        by_gate, *by_first = _conv_backward(by_gated, gate, gate_weight, gate_bias is not None)
        return (None, grad, by_gate, by_content, *by_first, *by_second, *by_output)


def gated_project(
    residual: Tensor,
    gate: Tensor,
    content: Tensor,
    gate_kernel: Convolution,
    content_kernel: Convolution,
    projection: Convolution,
    kernels: Kernels = EAGER,
) -> Tensor:
    """GDFN behind its first projection; keeps its inputs and the depthwise output that gates.

    In half precision it keeps the other depthwise output too; the product is made again.

    residual + project(gelu(depthwise(gate)) * depthwise(content))

    Args:
        residual: what the result is added to, (B, C, H, W).
        gate: (B, E, H, W).
        content: (B, E, H, W).
        gate_kernel: weight (E, 1, 3, 3) and bias (E,).
        content_kernel: the same for the content.
        projection: weight (C, E, 1, 1) and bias (C,).
        kernels: eager or compiled elementwise parts.

    Returns:
        Features (B, C, H, W), of the projection's type.
    """
    convolutions = (*gate_kernel, *content_kernel, *projection)
    return _GatedProject.apply(kernels, residual, gate, content, *convolutions)


def feed_forward(
    x: Tensor,
    norm: Convolution,
    gate: Convolution,
    content: Convolution,
    gate_kernel: Convolution,
    content_kernel: Convolution,
    projection: Convolution,
    eps: float = 1e-5,
    kernels: Kernels = EAGER,
) -> Tensor:
    """GDFN and its norm, added to its input: x + project(gelu(depthwise) * depthwise).

    Without gradients the hidden channels pass in groups, so that their memory has a limit.

    Args:
        x: features (B, C, H, W).
        norm: scale and shift (C,), see `norm_project`.
        gate: weight (E, C, 1, 1) and bias (E,) of the first projection, half that gates.
        content: the half that is gated.
        gate_kernel: weight (E, 1, 3, 3) and bias (E,).
        content_kernel: the same for the content.
        projection: weight (C, E, 1, 1) and bias (C,).
        eps: added to the variance.
        kernels: eager or compiled elementwise parts.

    Returns:
        Features (B, C, H, W), of the projection's type.
    """
    if torch.is_grad_enabled():
        first, second = norm_project(x, norm, gate, content, eps=eps, kernels=kernels)
        layers = (gate_kernel, content_kernel, projection)
        return gated_project(x, first, second, *layers, kernels)
    features = kernels.norm(x, eps, *norm, gate[0].dtype)[0]
    weight, bias = projection
    out = x.to(weight.dtype, copy=True)
    if bias is not None:
        out += bias[:, None, None]
    size = max(GROUP // max(x[:, 0].numel(), 1), SMALLEST_GROUP)
    for start in range(0, weight.shape[1], size):
        some = slice(start, start + size)
        branches = [
            depthwise(F.conv2d(features, *_some(one, some)), *_some(kernel, some))
            for one, kernel in ((gate, gate_kernel), (content, content_kernel))
        ]
        out += F.conv2d(kernels.gate(*branches), weight[:, some])
    return out


def _some(layer: Convolution, channels: slice) -> Convolution:
    """Only some output channels of a convolution."""
    weight, bias = layer
    return weight[channels], None if bias is None else bias[channels]
