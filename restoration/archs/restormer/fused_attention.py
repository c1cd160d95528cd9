"""Restormer's channel attention with a gradient of its own; see `fused` for the idea.

The mixing matrix of the attention is multiplied into the projection behind it, so the mixed values
never exist, and neither do normalised queries and keys: the products are divided by the lengths.

Letters: B images, C channels, H x W pixels; N heads, D channels per head.
"""

import torch
from einops import rearrange
from torch import Tensor
from torch.autograd import Function

from restoration.archs.restormer.fused_feed_forward import Context, Convolution, without_autocast
from restoration.archs.restormer.kernels import EAGER, Kernels, accumulator

SHORTEST = 1e-12  # what a length is raised to, as in torch.nn.functional.normalize


def _as_rows(image: Tensor) -> Tensor:
    """(B, C, H, W) in channels-last as (B, HW, C), a view."""
    return rearrange(image, "b c h w -> b (h w) c")


def _as_image(rows: Tensor, size: torch.Size) -> Tensor:
    """(B, HW, C) as (B, C, H, W), a view whose strides tell the format even where B is 1."""
    return rows.flatten().view(rows.shape[0], *size, rows.shape[2]).permute(0, 3, 1, 2)


def mix(image: Tensor, matrix: Tensor) -> Tensor:
    """Multiply the channels of every pixel, in the memory format that the image has.

    Args:
        image: (B, N*D, H, W), whose pixels or channels lie one after the other.
        matrix: (B, N, D', D), one per head.

    Returns:
        (B, N*D', H, W).
    """
    num, size = matrix.shape[1], image.shape[2:]
    if image.stride(1) == 1:
        rows = _as_rows(image)
        if num == 1:
            return _as_image(torch.bmm(rows, matrix[:, 0].mT), size)
        heads = rearrange(rows, "b p (n d) -> b n p d", n=num) @ matrix.mT  # (B, N, HW, D')
        return _as_image(rearrange(heads, "b n p d -> b p (n d)"), size)
    if num == 1:
        return torch.bmm(matrix[:, 0], image.flatten(2)).unflatten(2, size)
    heads = matrix @ rearrange(image, "b (n d) h w -> b n d (h w)", n=num)  # (B, N, D', HW)
    return rearrange(heads, "b n d (h w) -> b (n d) h w", w=size[1])


def gram(first: Tensor, second: Tensor, num_heads: int) -> Tensor:
    """Products over all pixels of every two channels of a head: two (B, N*D, H, W), (B, N, D, D).

    The heads of `first` and `second` may have different widths. The sums of float16 maps, which
    would overflow, are float32.
    """
    if first.dtype == torch.float16:
        first, second = first.float(), second.float()
    first, second = (
        image.flatten(2).unflatten(1, (num_heads, -1)) for image in (first, second)
    )  # (B, N, D, HW)
    return first @ second.mT


def fold(weight: Tensor, attention: Tensor) -> Tensor:
    """Projection (C', N*D) times the block-diagonal attention (B, N, D, D): (B, C', N*D)."""
    blocks = rearrange(weight, "o (n d) -> n o d", n=attention.shape[1])  # (N, C', D)
    return rearrange(blocks @ attention, "b n o d -> b o (n d)")


class _Attend(Function):
    @staticmethod
    def forward(
        ctx: Context,
        kernels: Kernels,
        residual: Tensor,
        mixed: Tensor,
        temperature: Tensor,
        weight: Tensor,
        bias: Tensor | None,
    ) -> Tensor:
        num_heads, wide = temperature.shape[0], accumulator(mixed)
        query, key, value = mixed.chunk(3, 1)  # (B, C, H, W)
        both = mixed[:, : 2 * query.shape[1]]
        lengths = kernels.squares(both).sqrt().clamp_min(SHORTEST)
        lengths = lengths.unflatten(1, (2, num_heads, -1))  # (B, 2, N, D)
        outer = lengths[:, 0, :, :, None] * lengths[:, 1, :, None]
        cosine = gram(query, key, num_heads).to(wide) / outer
        attention = (cosine * temperature).softmax(-1)  # (B, N, D, D)
        matrix = fold(weight[:, :, 0, 0].to(wide), attention).to(mixed.dtype)
        ctx.save_for_backward(mixed, temperature, weight, lengths, cosine, attention, matrix)
        ctx.kernels, ctx.biased = kernels, bias is not None
        out = mix(value, matrix[:, None]).add_(residual)
        return out if bias is None else out.add_(bias[:, None, None])

    @staticmethod
    @without_autocast
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor | None, ...]:
        mixed, temperature, weight, lengths, cosine, attention, matrix = ctx.saved_tensors
        narrow, wide = mixed.dtype, attention.dtype
        query, key, value = mixed.chunk(3, 1)
        num_heads = attention.shape[1]
        projection = weight[:, :, 0, 0].to(wide)
        by_value = mix(grad, matrix.mT[:, None])
        by_matrix = gram(grad, value, 1)[:, 0].to(wide)  # (B, C', C)
        by_blocks = rearrange(by_matrix, "b o (n d) -> b n o d", n=num_heads)  # (B, N, C', D)
        by_weight = rearrange((by_blocks @ attention.mT).sum(0), "n o d -> o (n d)")
        by_attention = rearrange(projection, "o (n d) -> n d o", n=num_heads) @ by_blocks
        inner = by_attention * attention
        by_logits = inner - attention * inner.sum(-1, keepdim=True)
        by_temperature = (by_logits * cosine).sum((0, 2, 3))[:, None, None]
        # cosine = q.k / (|q| |k|): every row is pulled to its partners and away from itself
        by_cosine = by_logits * temperature
        pull = (by_cosine / (lengths[:, 0, :, :, None] * lengths[:, 1, :, None])).to(narrow)
        loss = by_cosine * cosine
        away = torch.stack([loss.sum(3), loss.sum(2)], 1) / lengths.square()
        by_mixed = ctx.kernels.pull_apart(
            *(mix(key, pull), query, mix(query, pull.mT), key),
            away.flatten(1)[:, :, None, None].to(narrow),
            by_value,
        )
        by_bias = grad.sum((0, 2, 3)) if ctx.biased else None
        by_weight = by_weight[:, :, None, None].to(weight.dtype)
        return None, grad, by_mixed, by_temperature, by_weight, by_bias


def attend(
    residual: Tensor,
    mixed: Tensor,
    temperature: Tensor,
    projection: Convolution,
    kernels: Kernels = EAGER,
) -> Tensor:
    """MDTA behind its depthwise convolution; keeps its input and small matrices.

    residual + project(softmax(cosines(query, key) * temperature) @ value)

    Queries and keys are not normalised: their products are divided by the products of their
    lengths. Softmax, lengths and temperature are at least float32 whatever the maps are.

    Args:
        residual: what the result is added to, (B, C', H, W).
        mixed: query, key and value one after the other, (B, 3C, H, W).
        temperature: what multiplies the cosine of two channels, (N, 1, 1), float32 or wider.
        projection: weight (C', C, 1, 1) and bias (C',), of mixed's type.
        kernels: eager or compiled elementwise parts.

    Returns:
        Features (B, C', H, W), of mixed's type.
    """
    return _Attend.apply(kernels, residual, mixed, temperature, *projection)
