"""Large images in tiles, a row of tiles at a time: only a strip of them is floating point.

Tiles overlap and are blended linearly. They are spread evenly, so that none of them repeats more of
its neighbour than it must.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from restoration.archs import restore
from restoration.archs.inference import tile_ramp, tile_starts
from restoration.archs.protocol import image_channels, size_multiple
from restoration.photo.detail import returned_detail

OVERLAP = 32  # pixels that neighbouring tiles share, at least
INKS = 4  # channels of CMYK
ROWS = 64  # that become numbers of the file at a time

OnTile = Callable[[int, int], None]  # called with the tiles that are done, and all of them


@dataclass(frozen=True)
class Denoiser:
    """A network, and how its work is laid over an image.

    Args:
        network: on the device, maps images to images of the same size.
        device: where to compute.
        tile: side of the tiles at most.
        strength: share of the network's change that is made, in [0, 1].
        detail: share of the detail that is given back, in [0, 1], see `returned_detail`.
    """

    network: nn.Module
    device: torch.device
    tile: int
    strength: float = 1.0
    detail: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("strength", self.strength), ("detail", self.detail)):
            if not 0 <= value <= 1:
                raise ValueError(f"expected {name} in [0, 1], got {value:g}")
        if self.tile <= OVERLAP:
            raise ValueError(f"expected tiles of more than {OVERLAP} pixels, got {self.tile}")


def denoise_pixels(
    denoiser: Denoiser, pixels: np.ndarray, on_tile: OnTile | None = None
) -> np.ndarray:
    """Denoise an image of any size.

    Args:
        denoiser: what to do.
        pixels: (H, W, C), C = 1 grey, 3 colour or 4 inks, of which the last is black. Integers
            without a sign at their full range, or floating point in [0, 1]; what lies outside
            (light brighter than white) is kept on top of the denoised value.
        on_tile: told how far the work is.

    Returns:
        The denoised image, of the same shape and kind of numbers.

    Raises:
        ValueError: the image is empty or has another number of channels.
    """
    height, width, channels = pixels.shape
    if 0 in pixels.shape or channels not in (1, 3, 4):
        raise ValueError(f"expected an image of 1, 3 or 4 channels, got {pixels.shape}")
    multiple = size_multiple(denoiser.network)
    rows = _Side.of(height, denoiser.tile, multiple)
    columns = _Side.of(width, denoiser.tile, multiple)
    total, done = len(rows.starts) * len(columns.starts), 0
    strip = torch.zeros(channels, rows.tile, width)  # weighted sums of the tiles in work
    result = np.empty_like(pixels)
    for number, top in enumerate(rows.starts):
        bottom = min(top + rows.tile, height)
        for left in columns.starts:
            right = min(left + columns.tile, width)
            tile = _denoise_tile(denoiser, pixels[top:bottom, left:right])  # (C, h, w)
            weight = rows.ramp[: bottom - top, None] * columns.ramp[: right - left]
            strip[:, : bottom - top, left:right] += tile * weight
            done += 1
            if on_tile is not None:
                on_tile(done, total)
        end = height if number + 1 == len(rows.starts) else rows.starts[number + 1]
        finished = strip[:, : end - top].div_(rows.weights[top:end, None]).div_(columns.weights)
        _finish(denoiser.strength, finished, pixels, result, top)
        strip = strip.roll(top - end, dims=1)  # what the next row of tiles adds to comes first
        strip[:, rows.tile - (end - top) :] = 0
    return result


@dataclass(frozen=True)
class _Side:
    """Tiles along one side of an image: their length, where they begin, their weights."""

    tile: int
    starts: list[int]
    ramp: Tensor  # (tile,)
    weights: Tensor  # (size,): sums of all tiles' ramps

    @classmethod
    def of(cls, size: int, longest: int, multiple: int) -> "_Side":
        count = max(-(-(size - OVERLAP) // (longest - OVERLAP)), 1)
        even = -(-(size + (count - 1) * OVERLAP) // count)
        tile = min(-(-even // multiple) * multiple, max(longest, multiple))
        overlap = min(OVERLAP, tile - 1)
        starts = tile_starts(size, tile, overlap)
        ramp = tile_ramp(tile, overlap)
        weights = torch.zeros(size)
        for start in starts:
            weights[start : start + tile] += ramp[: size - start]
        return cls(tile, starts, ramp, weights)


def _denoise_tile(denoiser: Denoiser, pixels: np.ndarray) -> Tensor:
    """(C, h, w) in [0, 1] of a tile as stored, (h, w, C); its detail is given back."""
    stored = torch.from_numpy(to_unit(pixels)).clamp_(0, 1)
    degraded = stored.permute(2, 0, 1)[None].contiguous().to(denoiser.device)  # (1, C, h, w)
    inks = degraded.shape[1] == INKS
    if inks:  # as light: bare paper is white
        degraded = 1 - degraded
    groups = _groups(degraded.shape[1], image_channels(denoiser.network))
    parts = [_denoise_group(denoiser, degraded[:, group]) for group in groups]
    restored = torch.cat(parts, dim=1)[0].cpu()
    return 1 - restored if inks else restored


def _denoise_group(denoiser: Denoiser, degraded: Tensor) -> Tensor:
    restored = restore(denoiser.network, degraded).float()
    if not restored.isfinite().all():
        raise ValueError("the output of the network is NaN: its weights may be damaged")
    if denoiser.detail:
        restored = restored + denoiser.detail * returned_detail(degraded, restored)
    return restored


def _groups(channels: int, taken: int) -> Sequence[slice]:
    """Channels that the network sees together: colours do, grey and black come alone."""
    if taken == 1:
        return [slice(n, n + 1) for n in range(channels)]
    return [slice(0, 3), slice(3, 4)] if channels == INKS else [slice(0, 3)]


def _finish(
    strength: float, restored: Tensor, pixels: np.ndarray, result: np.ndarray, top: int
) -> None:
    """Write finished rows: blended with the stored ones, in their kind of numbers."""
    for first in range(0, restored.shape[1], ROWS):
        part = restored[:, first : first + ROWS]
        rows = slice(top + first, top + first + part.shape[1])
        stored = to_unit(pixels[rows])
        change = part.permute(1, 2, 0).numpy() - stored.clip(0, 1)
        result[rows] = from_unit(stored + np.float32(strength) * change, pixels.dtype)


def to_unit(pixels: np.ndarray) -> np.ndarray:
    """Scale numbers without a sign to [0, 1], float32; floating point stays as it is."""
    if pixels.dtype.kind == "u":
        return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    return pixels.astype(np.float32)


def from_unit(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The inverse of `to_unit`, rounded to the nearest number."""
    if dtype.kind == "u":
        largest = np.iinfo(dtype).max
        return np.rint(values.clip(0, 1) * np.float32(largest)).astype(dtype)
    return values.astype(dtype)
