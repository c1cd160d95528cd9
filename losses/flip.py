"""FLIP for ordinary images (Andersson et al. 2020, doi:10.1145/3406183), and E-FLIP.

Written from the paper, as a differentiable function. What differs from a viewer's tool: gradients
are 0, not infinite, where two pixels are equal. E-FLIP is named in arXiv:2305.19858, which
released no mask for it.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from losses.pixel import EnhancedLoss, PixelLoss, renamed_masks

# Pixels per degree of a 0.7 m wide screen of 3840 pixels at 0.7 m, as in the paper.
PIXELS_PER_DEGREE = 0.7 * 3840 / 0.7 * math.pi / 180
COLOR_EXPONENT, FEATURE_EXPONENT = 0.7, 0.5
KNEE_IN, KNEE_OUT = 0.4, 0.95  # the error curve goes through this fraction of the largest error
FEATURE_WIDTH = 0.082  # degrees, width of an edge that is seen best
# Contrast sensitivity as Gaussians (a, b): achromatic, red-green, blue-yellow (a sum of two).
ACHROMATIC, RED_GREEN, BLUE_YELLOW = ((1, 0.0047),), ((1, 0.0053),), ((34.1, 0.04), (13.5, 0.025))
SRGB_PRIMARIES = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))  # xy of red, green, blue
D65 = (0.31271, 0.32902)
Line = tuple[float, ...]
Matrix = tuple[Line, ...]
SMALLEST = 1e-8  # a difference below this is none: roots have no slope at 0


def _rgb_to_xyz() -> Matrix:
    """Rows of the matrix from linear sRGB to XYZ, from the primaries and the white point."""

    def xyz(x: float, y: float) -> list[float]:
        return [x / y, 1.0, (1 - x - y) / y]

    primaries = torch.tensor([xyz(*p) for p in SRGB_PRIMARIES], dtype=torch.float64).T
    white = torch.tensor(xyz(*D65), dtype=torch.float64)
    return _rows(primaries * torch.linalg.solve(primaries, white))


def _white_to_one(matrix: Tensor) -> Tensor:
    """Let a matrix to XYZ give XYZ over the XYZ of white."""
    return matrix / matrix.sum(1, keepdim=True)


def _rows(matrix: Tensor) -> Matrix:
    return tuple(tuple(row) for row in matrix.tolist())


RGB_TO_XYZ = _rgb_to_xyz()
XYZ_TO_RGB = _rows(_white_to_one(torch.tensor(RGB_TO_XYZ, dtype=torch.float64)).inverse())


def _power(x: Tensor, exponent: float | Tensor, smallest: float = SMALLEST) -> Tensor:
    """x^exponent of numbers that are not negative; value and slope 0 below the smallest."""
    seen = ~(x <= smallest)  # NaN is seen: nobody may take it for a perfect image
    return torch.where(seen, x, 1).pow(exponent) * seen


def _length(x: Tensor, dim: int) -> Tensor:
    """Euclidean length along a dimension, without slope at 0."""
    return _power(x.square().sum(dim), 0.5, SMALLEST**2)


def _linear_rgb(x: Tensor) -> Tensor:
    """Undo the gamma curve of sRGB."""
    bright = x > 0.04045
    return torch.where(bright, ((torch.where(bright, x, 1) + 0.055) / 1.055) ** 2.4, x / 12.92)


def _relative_xyz(linear: Tensor) -> Tensor:
    """Linear RGB (B, 3, H, W) -> XYZ over the XYZ of white."""
    return torch.einsum("ij,bjhw->bihw", _white_to_one(linear.new_tensor(RGB_TO_XYZ)), linear)


def _opponent(linear: Tensor) -> Tensor:
    """Linear RGB -> YCxCz: lightness, red-green, blue-yellow, linear in the light."""
    x, y, z = _relative_xyz(linear).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def _opponent_to_linear(color: Tensor) -> Tensor:
    y = (color[:, 0] + 16) / 116
    xyz = torch.stack([color[:, 1] / 500 + y, y, y - color[:, 2] / 200], dim=1)
    return torch.einsum("ij,bjhw->bihw", color.new_tensor(XYZ_TO_RGB), xyz)


def _hunt_lab(linear: Tensor) -> Tensor:
    """Linear RGB in [0, 1] -> CIELAB whose chroma is weaker in the dark (Hunt effect)."""
    ratio = _relative_xyz(linear)
    bright = ratio > (6 / 29) ** 3
    root = torch.where(bright, ratio, 1).pow(1 / 3)
    x, y, z = torch.where(bright, root, ratio / (3 * (6 / 29) ** 2) + 4 / 29).unbind(1)
    lightness = 116 * y - 16
    chroma = 0.01 * lightness
    return torch.stack([lightness, chroma * 500 * (x - y), chroma * 200 * (y - z)], dim=1)


def _repeat_edges(x: Tensor, width: int) -> Tensor:
    """Pad (B, C, H, W) on all sides with its outermost pixels."""
    if not torch.compiler.is_compiling():
        return F.pad(x, (width, width, width, width), mode="replicate")
    for dim in (2, 3):  # torch 2.x expects another layout of the padding's gradient than it gets
        place = torch.arange(-width, x.shape[dim] + width, device=x.device)
        x = x.index_select(dim, place.clamp(0, x.shape[dim] - 1))
    return x


def _separable(x: Tensor, rows: Sequence[Line], columns: Sequence[Line]) -> Tensor:
    """Filter channel c of (B, C, H, W) by rows[c] downwards and columns[c] across; edges repeat."""
    count, size = len(rows), len(rows[0])
    x = _repeat_edges(x, size // 2)
    x = F.conv2d(x, x.new_tensor(rows).view(count, 1, size, 1), groups=count)
    return F.conv2d(x, x.new_tensor(columns).view(count, 1, 1, size), groups=count)


def _sensitivity_filters(pixels_per_degree: float) -> tuple[tuple[Line, ...], Line]:
    """Rows of four separable Gaussians (A, RG, and two of BY), and the share of each."""
    widest = max(b for _, b in ACHROMATIC + RED_GREEN + BLUE_YELLOW)
    radius = math.ceil(3 * math.sqrt(widest / (2 * math.pi**2)) * pixels_per_degree)
    degrees = [step / pixels_per_degree for step in range(-radius, radius + 1)]
    rows: list[Line] = []
    shares: list[float] = []
    for gaussians in (ACHROMATIC, RED_GREEN, BLUE_YELLOW):
        lines = [[math.exp(-(math.pi**2) * d**2 / b) for d in degrees] for _, b in gaussians]
        sums = [
            a * math.sqrt(math.pi / b) * sum(line) ** 2
            for (a, b), line in zip(gaussians, lines, strict=True)
        ]
        rows += [tuple(value / sum(line) for value in line) for line in lines]
        shares += [part / sum(sums) for part in sums]
    return tuple(rows), tuple(shares)


def _seen_color(opponent: Tensor, pixels_per_degree: float) -> Tensor:
    """What the eye resolves of a YCxCz image, as Hunt-adjusted CIELAB."""
    rows, shares = _sensitivity_filters(pixels_per_degree)
    four = opponent[:, [0, 1, 2, 2]]
    blurred = _separable(four, rows, rows) * four.new_tensor(shares).view(1, 4, 1, 1)
    color = torch.cat([blurred[:, :2], blurred[:, 2:].sum(1, keepdim=True)], dim=1)
    return _hunt_lab(_opponent_to_linear(color).clamp(0, 1))


def _hyab(x: Tensor, y: Tensor) -> Tensor:
    """Lightness difference plus chroma distance, (B, 3, H, W) x 2 -> (B, 1, H, W)."""
    light, chroma = (x - y).split([1, 2], dim=1)
    return light.abs() + _length(chroma, 1)[:, None]


def _color_error(x: Tensor, y: Tensor, pixels_per_degree: float) -> Tensor:
    """Colour difference of two YCxCz images, in [0, 1], (B, 1, H, W)."""
    green, blue = x.new_tensor([[0, 1, 0], [0, 0, 1]]).view(2, 1, 3, 1, 1)
    largest = _hyab(_hunt_lab(green), _hunt_lab(blue)) ** COLOR_EXPONENT
    error = _hyab(_seen_color(x, pixels_per_degree), _seen_color(y, pixels_per_degree))
    error = _power(error, COLOR_EXPONENT)
    knee = KNEE_IN * largest
    above = KNEE_OUT + (error - knee) / (largest - knee) * (1 - KNEE_OUT)
    return torch.where(error < knee, error * KNEE_OUT / knee, above)


def _feature_filters(pixels_per_degree: float) -> tuple[Line, Line, Line]:
    """Lines of a Gaussian, an edge detector and a point detector; halves of each sign sum to 1."""
    deviation = 0.5 * FEATURE_WIDTH * pixels_per_degree
    radius = math.ceil(3 * deviation)
    places = range(-radius, radius + 1)
    gauss = [math.exp(-0.5 * (place / deviation) ** 2) for place in places]

    def balanced(line: list[float]) -> Line:
        above = sum(value for value in line if value > 0)
        below = -sum(value for value in line if value < 0)
        return tuple(value / (above if value > 0 else below) for value in line)

    edge = balanced([-place * value for place, value in zip(places, gauss, strict=True)])
    squares = [(place / deviation) ** 2 - 1 for place in places]
    point = balanced([square * value for square, value in zip(squares, gauss, strict=True)])
    return tuple(value / sum(gauss) for value in gauss), edge, point


def _feature_strengths(lightness: Tensor, pixels_per_degree: float) -> tuple[Tensor, Tensor]:
    """How strong edges and points are in a (B, 1, H, W) lightness in [0, 1]."""
    gauss, edge_line, point_line = _feature_filters(pixels_per_degree)
    down, across = (gauss, edge_line, gauss, point_line), (edge_line, gauss, point_line, gauss)
    answers = _separable(lightness.expand(-1, 4, -1, -1), down, across)
    by_kind = answers.unflatten(1, (2, 2))  # (B, edge or point, across or down, H, W)
    edge, point = _length(by_kind, 2).split(1, dim=1)
    return edge, point


def _feature_error(x: Tensor, y: Tensor, pixels_per_degree: float) -> Tensor:
    """Difference in edges and points of two YCxCz images, in [0, 1], (B, 1, H, W)."""
    of_x, of_y = (_feature_strengths((z[:, :1] + 16) / 116, pixels_per_degree) for z in (x, y))
    edges, points = ((a - b).abs() for a, b in zip(of_x, of_y, strict=True))
    return _power(torch.maximum(edges, points) / math.sqrt(2), FEATURE_EXPONENT)


def flip_map(x: Tensor, y: Tensor, pixels_per_degree: float = PIXELS_PER_DEGREE) -> Tensor:
    """FLIP at every pixel: what is seen when one flips between the two images.

    Args:
        x: (B, 3, H, W), sRGB in [0, 1].
        y: (B, 3, H, W), sRGB in [0, 1].
        pixels_per_degree: pixels per degree of visual angle, > 0; 67.02 is a 0.7 m wide screen
            of 3840 pixels at 0.7 m.

    Returns:
        (B, 1, H, W) in [0, 1], symmetric in x and y, lower is better, 0 for identical images.

    Raises:
        ValueError: pixels_per_degree is not positive.

    Source: Andersson et al. 2020, doi:10.1145/3406183.
    """
    check_pixels_per_degree(pixels_per_degree)
    x, y = (_opponent(_linear_rgb(z)) for z in (x, y))
    color = _color_error(x, y, pixels_per_degree)
    return _power(color, 1 - _feature_error(x, y, pixels_per_degree))


def flip(x: Tensor, y: Tensor, pixels_per_degree: float = PIXELS_PER_DEGREE) -> Tensor:
    """Mean of `flip_map` per image, (B, 3, H, W) x 2 -> (B,) in [0, 1], lower is better."""
    return flip_map(x, y, pixels_per_degree).mean((1, 2, 3))


def check_pixels_per_degree(value: float) -> float:
    """Return pixels per degree, or raise ValueError if it is not a positive finite number."""
    if not 0 < value < math.inf:
        raise ValueError(f"expected pixels_per_degree > 0, got {value}")
    return value


class FLIP(PixelLoss):
    """FLIP, in [0, 1], lower is better, 0 for identical images.

    Args:
        pixels_per_degree: pixels per degree of visual angle.
        reduction: "mean", "sum" or "none" over the batch.
    """

    channels = 3

    def __init__(self, pixels_per_degree: float = PIXELS_PER_DEGREE, reduction: str = "mean"):
        super().__init__(reduction)
        self.pixels_per_degree = check_pixels_per_degree(pixels_per_degree)

    def error(self, k: int, x: Tensor, y: Tensor) -> Tensor:
        """FLIP at every pixel."""
        return flip_map(x, y, self.pixels_per_degree)


class EnhancedFLIP(EnhancedLoss, FLIP):
    """E-FLIP: mean(M * FLIP map), in [0, 1], lower is better, 0 for identical images.

    No mask was released for it: the default is this project's, trained with the error of E-MAE.

    Args:
        masks: mask file, or a name of the weights manifest; None for the shipped pixel mask.
        order: how the pair is concatenated for the mask network.
        mask_gradient: whether gradients also flow through the mask to the prediction.
        pixels_per_degree: pixels per degree of visual angle.
        reduction: "mean", "sum" or "none" over the batch.
        weights: the former name of `masks`.
    """

    shipped = "pixel_mask_e_flip"

    def __init__(
        self,
        masks: str | Path | None = None,
        order: str = "reference_first",
        mask_gradient: bool = False,
        pixels_per_degree: float = PIXELS_PER_DEGREE,
        reduction: str = "mean",
        weights: str | Path | None = None,
    ):
        masks = renamed_masks(masks, weights, "EnhancedFLIP")
        super().__init__(masks, order, mask_gradient, reduction)
        self.pixels_per_degree = check_pixels_per_degree(pixels_per_degree)
