"""Restoration of images of any size: padding to what a network needs, cropping, tiles.

Restormer's protocol (arXiv:2111.09881): reflect at the right and at the bottom, run, crop, clamp.
Reflection goes on as often as needed, so an image smaller than its padding works too. Tiles are for
large images; results differ from those of the whole image, whose attention sees every pixel.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from restoration.archs import protocol

Pad = Callable[[Tensor], Tensor]


def restore(
    network: nn.Module,
    image: Tensor,
    multiple: int | None = None,
    tile: int | None = None,
    overlap: int = 32,
    channels: int | None = None,
) -> Tensor:
    """Run a network on images of any size, without gradients and in evaluation mode.

    Args:
        network: maps (B, C, H, W) to images of the same size.
        image: degraded images (B, C, H, W), floating point, in [0, 1] up to the noise. Grey images
            (C = 1) given to a network for more channels are repeated, its answers averaged.
        multiple: what both sides are padded to; default: what the network needs, see
            `restoration.archs.protocol.size_multiple`.
        tile: side of the square tiles for large images, or None for the whole image at once.
        overlap: pixels that neighbouring tiles share, blended linearly.
        channels: what the network takes; default: what it says, see
            `restoration.archs.protocol.image_channels`.

    Returns:
        Restored images (B, C, H, W), in [0, 1].

    Raises:
        ValueError: an argument is out of its range, or the network changes the size or answers
            something else than images.
    """
    _check_image(image)
    multiple = protocol.size_multiple(network) if multiple is None else multiple
    channels = protocol.image_channels(network) if channels is None else channels
    if multiple < 1:
        raise ValueError(f"expected multiple >= 1, got {multiple}")
    minimum, square = protocol.smallest_side(network), protocol.takes_squares(network)
    pad = partial(pad_reflect, multiple=multiple, minimum=minimum, square=square)
    grey = image.shape[1] == 1 and channels > 1
    if grey:
        image = image.expand(-1, channels, -1, -1)
    with torch.inference_mode(), evaluating(network):
        if tile is None:
            restored = _run_padded(network, image, pad)
        else:
            restored = _run_tiles(network, image, pad, tile, overlap)
        if grey:
            restored = restored.mean(1, keepdim=True)
        # in place where the memory is ours: a large image is held once, not three times
        return restored.clamp(0, 1) if tile is None else restored.clamp_(0, 1)


def pad_reflect(image: Tensor, multiple: int, minimum: int = 1, square: bool = False) -> Tensor:
    """Reflect at the right and at the bottom up to the next multiple.

    The edge itself is not repeated; the reflection is reflected again where the image is too small,
    as `numpy.pad(mode="reflect")` does.

    Args:
        image: (..., H, W), H and W at least 1.
        multiple: what the new height and width are multiples of.
        minimum: what they are at least.
        square: whether they are to be equal.

    Returns:
        Padded image, at least as large.
    """
    targets = [-(-max(side, minimum) // multiple) * multiple for side in image.shape[-2:]]
    if square:
        targets = [max(targets)] * 2
    for dim, target in zip((-2, -1), targets, strict=True):
        size = image.shape[dim]
        if target > size:
            period = max(2 * (size - 1), 1)
            index = torch.arange(target, device=image.device) % period
            image = image.index_select(
                dim, torch.minimum(index, period - index).clamp_max(size - 1)
            )
    return image


def _check_image(image: Tensor) -> None:
    if image.dim() != 4 or 0 in image.shape:
        raise ValueError(f"expected images (B, C, H, W), none empty, got {tuple(image.shape)}")
    if not image.is_floating_point():
        raise ValueError(f"expected floating-point images in [0, 1], got {image.dtype}")


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards every part has its own mode again."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _run_padded(network: nn.Module, image: Tensor, pad: Pad) -> Tensor:
    height, width = image.shape[-2:]
    padded = pad(image)
    restored = network(padded)
    if not isinstance(restored, Tensor):
        raise ValueError(f"expected a network that returns images, got {type(restored).__name__}")
    if restored.shape[-2:] != padded.shape[-2:]:
        raise ValueError(
            f"expected a network that keeps the size {tuple(padded.shape[-2:])}, "
            f"got {tuple(restored.shape[-2:])}"
        )
    return restored[..., :height, :width]


def _run_tiles(network: nn.Module, image: Tensor, pad: Pad, tile: int, overlap: int) -> Tensor:
    """Weighted mean of overlapping tiles, weights falling linearly towards their inner borders."""
    if tile < 1 or not 0 <= overlap < tile:
        raise ValueError(f"expected tile >= 1 and 0 <= overlap < tile, got {tile} and {overlap}")
    height, width = image.shape[-2:]
    ramp = tile_ramp(tile, overlap).to(image)
    total: Tensor | None = None
    weights: Tensor | None = None
    for top in tile_starts(height, tile, overlap):
        for left in tile_starts(width, tile, overlap):
            part = image[..., top : top + tile, left : left + tile]
            rows, columns = part.shape[-2:]
            restored = _run_padded(network, part, pad)
            if total is None or weights is None:
                total = restored.new_zeros(*restored.shape[:2], height, width)
                weights = restored.new_zeros(height, width)
            weight = ramp[:rows, None] * ramp[:columns]  # (h, w)
            total[..., top : top + rows, left : left + columns] += restored * weight
            weights[top : top + rows, left : left + columns] += weight
    assert total is not None and weights is not None  # an image has at least one tile
    return total.div_(weights)


def tile_starts(size: int, tile: int, overlap: int) -> list[int]:
    """First pixel of every tile along one side; the last tile ends where the image ends.

    Args:
        size: of the image along that side.
        tile: side of a tile.
        overlap: pixels that neighbouring tiles share, at least.
    """
    last = max(size - tile, 0)
    return [*range(0, last, tile - overlap), last]


def tile_ramp(tile: int, overlap: int) -> Tensor:
    """Weights (tile,) of the rows or columns of a tile: 1 inside, falling linearly to its ends."""
    index = torch.arange(tile)
    distance = torch.minimum(index, index.flip(0)) + 1
    return (distance / (overlap + 1)).clamp_max(1)
