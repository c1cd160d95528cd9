"""A sheet of all distortions at all levels, to look at, and how visible each level is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from restoration.degradations.distortions import DENOISED, DISTORTIONS, Distortion, distort
from restoration.opinion.pairs import to_tensor

LEVELS = (1, 2, 3, 4, 5)
GAP, LABEL_WIDTH, HEAD_HEIGHT = 4, 190, 30
PAPER, INK, FAINT = (255, 255, 255), (20, 20, 20), (110, 110, 110)


def contact_sheet(
    image: np.ndarray,
    kinds: Mapping[str, Distortion] = DISTORTIONS,
    seed: int = 0,
    on_progress: Callable[[], None] | None = None,
) -> np.ndarray:
    """Lay out one row per distortion: the reference, then levels 1 to 5, at their own pixels.

    Args:
        image: reference, RGB (H, W, 3) uint8.
        kinds: distortions by name, top to bottom.
        seed: of the distortions.
        on_progress: called after each row.

    Returns:
        RGB uint8: name, family and strengths at the left, a strip of levels on top.
    """
    height, width = image.shape[:2]
    columns = ["reference", *(f"level {level}" for level in LEVELS)]
    size = (
        LABEL_WIDTH + len(columns) * (width + GAP),
        HEAD_HEIGHT + len(kinds) * (height + GAP),
    )
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    large, small = (ImageFont.load_default(points) for points in (16, 13))
    for number, text in enumerate(columns):
        middle = LABEL_WIDTH + number * (width + GAP) + width // 2
        draw.text((middle, HEAD_HEIGHT // 2), text, INK, large, anchor="mm")
    for number, (name, entry) in enumerate(kinds.items()):
        top = HEAD_HEIGHT + number * (height + GAP)
        strengths = [f"{value:.3g}" for value in entry.strengths]
        text = f"{entry.family}\n{', '.join(strengths[:3])},\n{', '.join(strengths[3:])}"
        title = f"{number + 1}. {name.removeprefix(DENOISED)}"
        draw.text((8, top + 8), title, INK, large)
        draw.multiline_text((8, top + 32), text, FAINT, small)
        for column, level in enumerate((0, *LEVELS)):
            tile = Image.fromarray(distort(image, name, level, seed, kinds))
            sheet.paste(tile, (LABEL_WIDTH + column * (width + GAP), top))
        if on_progress is not None:
            on_progress()
    return np.asarray(sheet)


@dataclass(frozen=True)
class Visibility:
    """How visible the levels of one distortion are.

    Args:
        name: of the distortion.
        means: mean quality of each level over the images, per metric, higher is better.
        monotone: share of steps to the next level, over all images, at which quality falls.
    """

    name: str
    means: Mapping[str, np.ndarray]
    monotone: Mapping[str, float]


def visibility(
    images: Sequence[np.ndarray],
    metrics: Mapping[str, Callable[[Tensor, Tensor], Tensor]],
    kinds: Mapping[str, Distortion] = DISTORTIONS,
    seed: int = 0,
) -> Iterator[Visibility]:
    """Measure all levels of distortions on several photographs.

    Args:
        images: references, RGB (H, W, 3) uint8.
        metrics: (distorted, reference) batches -> (B,), higher is better.
        kinds: distortions by name.
        seed: of the distortions; each image has a draw of its own, the same for all levels.

    Yields:
        One result per distortion, in order.
    """
    for name in kinds:
        qualities = {metric: np.empty((len(images), len(LEVELS))) for metric in metrics}
        for number, image in enumerate(images):
            distorted = to_tensor(
                [distort(image, name, level, (seed, number), kinds) for level in LEVELS]
            )
            reference = to_tensor([image] * len(LEVELS))
            for metric, function in metrics.items():
                qualities[metric][number] = function(distorted, reference).numpy()
        yield Visibility(
            name,
            {metric: values.mean(0) for metric, values in qualities.items()},
            {metric: float((np.diff(values) < 0).mean()) for metric, values in qualities.items()},
        )
