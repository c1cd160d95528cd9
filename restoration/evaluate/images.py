"""Restored images as files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from restoration.data import write_png
from restoration.degradations.conditions import Condition
from restoration.evaluate.measure import NOISY, OnResult
from restoration.evaluate.rows import condition_slug
from restoration.evaluate.sets import EvaluationSet


def image_names(names: Sequence[str]) -> dict[str, str]:
    """What the restored images of a set are called, by the name of the image.

    That of the image without its extension; with it in the whole set where two images, such as
    a.jpg and a.png, would be written to one file.
    """
    bare = {name: str(Path(name).with_suffix("")) for name in names}
    distinct = len(set(bare.values())) == len(bare)
    return bare if distinct else {name: name for name in names}


def image_writer(folder: Path, sets: Mapping[str, EvaluationSet], by_run: bool) -> OnResult:
    """Return a function that writes restored images, [<run>/]<set>/<folder/image>_sigma<N>.png.

    Args:
        folder: below which the images are written.
        sets: test sets by name.
        by_run: a folder for every run; else the noisy input is not written.
    """
    names = {name: image_names(test_set.source.names) for name, test_set in sets.items()}

    def write(
        run: str,
        name: str,
        image: str,
        condition: Condition,
        noisy: Tensor,
        restored: Tensor,
        clean: Tensor,
    ) -> None:
        if run == NOISY and not by_run:
            return
        below = folder / run if by_run else folder
        path = below / name / f"{names[name][image]}_{condition_slug(condition)}.png"
        pixels = (restored[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        write_png(path, pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)

    return write
