"""Scores of images against a reference, and their error maps: what `restoration score` does."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import losses
from restoration.common import distributed
from restoration.common.messages import printable
from restoration.common.progress import Progress, no_progress
from restoration.data import images
from restoration.evaluate.measure import to_batch
from restoration.maps.error_maps import ErrorMaps, error_maps, has_maps
from restoration.maps.figure import write_maps
from restoration.metrics import Metric, MetricUnavailable, build_metrics
from restoration.metrics.names import canonical, terms_by_name

Scores = dict[str, losses.Loss | Metric]  # (1, 3, H, W) x 2 -> (1,)

# the rest are loss terms, in the units of their formula
AS_METRICS = ("psnr", "ssim", "ms-ssim", "lpips")
MASK_FILES = (  # terms whose file is of masks
    *("e-mae", "e-mse", "e-psnr", "e-ssim", "e-flip", "milo"),
    *("e-vgg", "e-lpips", "e-dists"),
)
ON_BACKBONE = ("vgg", "e-vgg")
ON_VGG = (*ON_BACKBONE, "dists", "e-dists", "e-lpips")  # terms that weights of a backbone are for
SCALED = ("mae", "ssim")  # plain metrics whose map a mask file's scaler network can draw
BACKBONE = "backbone"  # stands among the names of weights for the VGG of all that have one


@dataclass(frozen=True)
class PictureScore:
    """What was measured of one image.

    Args:
        path: of the image.
        values: by the names of the metrics.
        figure: of its error maps; None where none were asked for.
    """

    path: Path
    values: dict[str, float]
    figure: Path | None = None


class WeightsNeeded(ValueError):
    """Weights of a metric are missing or do not fit.

    Args:
        metric: its name.
        files: names under which weights may be given.
        reason: what is wrong.
    """

    def __init__(self, metric: str, files: Sequence[str], reason: object):
        super().__init__(f"{metric}: {reason}")
        self.metric, self.files = metric, tuple(files)


def score_pictures(
    reference: Path,
    distorted: Sequence[Path],
    metrics: Sequence[str],
    *,
    backbone: str = "embedded",
    weights: Mapping[str, str] | None = None,
    orders: Mapping[str, str] | None = None,
    maps_folder: Path | None = None,
    device: str | torch.device = "cpu",
    progress: Progress = no_progress,
) -> list[PictureScore]:
    """Compare images with a reference.

    Args:
        reference: image file.
        distorted: image files of the same size.
        metrics: names: psnr, ssim, ms-ssim, lpips, or any loss type.
        backbone: of vgg and e-vgg.
        weights: files by metric; "backbone" for the VGG of all that have one.
        orders: order in which a pair is given to the masks, by metric.
        maps_folder: where error maps are written; None for none.
        device: where the metrics are computed.
        progress: shows how many images are compared.

    Raises:
        FileNotFoundError: an image is missing.
        ValueError: an unknown metric, weights that are missing, images that do not fit.
    """
    place = distributed.choose_device(str(device))
    keys = [canonical(name) for name in metrics]
    if not keys:
        raise ValueError("expected at least one metric")
    if maps_folder is not None and not any(map(has_maps, keys)):
        raise ValueError(f"none of {', '.join(metrics)} has maps; mae, ssim, flip, vgg have")
    image = check_pictures(reference, distorted)
    scores = build_scores(metrics, backbone, weights, orders)
    terms = {
        canonical(name): score if isinstance(score, losses.Loss) else None
        for name, score in scores.items()
    }
    scalers = {k: s.to(place) for k, s in load_scalers(keys, weights or {}).items()}
    of_reference = to_batch(image, place)
    results = []
    with progress("comparing", len(distorted)) as advance:
        for path, name in zip(distorted, figure_names(distorted), strict=True):
            picture = images.read_float(path)
            of_picture = to_batch(picture, place)
            maps = error_maps(terms, of_picture, of_reference, scalers) if maps_folder else []
            values = values_of(scores, of_picture, of_reference, maps)
            figure = None
            if maps_folder is not None:
                shown = {canonical(metric): value for metric, value in values.items()}
                files = (printable(reference.name), printable(path.name))
                figure = write_maps(maps_folder, name, image, picture, maps, shown, files)
            results.append(PictureScore(path, values, figure))
            advance()
    return results


def build_scores(
    names: Sequence[str],
    backbone: str,
    weights: Mapping[str, str] | None = None,
    orders: Mapping[str, str] | None = None,
) -> Scores:
    """Build what each name computes.

    Args:
        names: metrics.
        backbone: of vgg and e-vgg.
        weights: files by metric; "backbone" for the VGG of all that have one.
        orders: order of the pair for the masks, by metric.

    Raises:
        ValueError: an unknown name, or weights that are missing or do not fit.
    """
    terms = terms_by_name()
    scores: Scores = {}
    for name in names:
        key = canonical(name)
        arguments = arguments_of(key, backbone, weights or {}, orders or {})
        try:
            if key in AS_METRICS or key not in terms:
                metric = {"type": key.replace("-", "_"), **arguments}
                scores[name] = next(iter(build_metrics([metric]).values()))
            else:
                scores[name] = losses.build_term(terms[key], reduction="none", **arguments)
        except (FileNotFoundError, MetricUnavailable) as error:
            files = [key, BACKBONE] if key in ON_VGG else [key]
            raise WeightsNeeded(name, files, error) from error
    return scores


def arguments_of(
    key: str, backbone: str, weights: Mapping[str, str], orders: Mapping[str, str]
) -> dict[str, str]:
    """Arguments of one loss term: see `build_scores`."""
    arguments = {"backbone": backbone} if key in ON_BACKBONE else {}
    if BACKBONE in weights and key in ON_VGG:
        arguments["weights"] = weights[BACKBONE]
    if key in weights and key not in SCALED:
        arguments["masks" if key in MASK_FILES else "weights"] = weights[key]
    if key in orders:
        arguments["order"] = orders[key]
    return arguments


def check_pictures(reference: Path, distorted: Sequence[Path]) -> np.ndarray:
    """Decode every image once, before the work starts, and keep none but the reference.

    Returns:
        The reference, (H, W, 3) in [0, 1].

    Raises:
        FileNotFoundError: an image is missing.
        ValueError: an image cannot be read or has another size than the reference.
    """
    for path in (reference, *distorted):
        if path.is_dir():
            raise ValueError(f"expected images, one by one, got the folder {path}")
        if not path.is_file():
            raise FileNotFoundError(f"image {path} does not exist")
    image = images.read_float(reference)
    height, width = image.shape[:2]
    for path in distorted:
        shape = images.read_image(path).shape
        if shape != image.shape:
            raise ValueError(
                f"{path}: expected {width}x{height} pixels like the reference, "
                f"got {shape[1]}x{shape[0]}"
            )
    return image


def load_scalers(keys: Iterable[str], weights: Mapping[str, str]) -> dict[str, nn.Module]:
    """Scaler networks by metric: of mask files that carry one, and of files given for a plain one.

    The shipped masks of e-mae and e-ssim carry one each.

    Raises:
        ValueError: a file given for a plain metric has no scaler network.
    """
    shipped = {"e-mae": losses.EnhancedMAE.shipped, "e-ssim": losses.EnhancedSSIM.shipped}
    files = {**shipped, **weights}
    scalers: dict[str, nn.Module] = {}
    for key in keys:
        if key in files and key.removeprefix("e-") in SCALED:
            try:
                scalers[key] = losses.load_scaler(files[key])
            except ValueError:
                if key in SCALED:
                    raise
    return scalers


def figure_names(paths: Sequence[Path]) -> list[str]:
    """A name for the figure of each image; images of one name get a number."""
    stems = [printable(path.stem) for path in paths]
    names: list[str] = []
    for number, stem in enumerate(stems, start=1):
        name = stem if stems.count(stem) == 1 else f"{stem}_{number}"
        while name in names or (name != stem and name in stems):
            name += "_"
        names.append(name)
    return names


def values_of(
    scores: Scores, distorted: Tensor, reference: Tensor, maps: Iterable[ErrorMaps] = ()
) -> dict[str, float]:
    """Value of every metric by name; what its maps hold already is not computed again.

    Args:
        scores: as `build_scores` returns them.
        distorted: (1, 3, H, W) in [0, 1].
        reference: (1, 3, H, W) in [0, 1].
        maps: error maps of the pair, from the same scores.
    """
    rows: dict[str, list[ErrorMaps]] = {}  # with masks, by the metric that they were made for
    for row in maps:
        if row.mask is not None:
            rows.setdefault(row.enhanced_name, []).append(row)
    values = {}
    with torch.no_grad():
        for name, score in scores.items():
            drawn = rows.get(canonical(name), [])
            if not drawn or not isinstance(score, losses.Loss):
                values[name] = float(score(distorted, reference))
            elif drawn[0].tap:
                values[name] = _value_of_taps(score, drawn)
            else:
                mask = torch.from_numpy(drawn[0].mask)[None, None].to(distorted)  # (1, 1, H, W)
                values[name] = float(score.compare([distorted], [reference], [mask]))
    return values


def _value_of_taps(term: losses.Loss, rows: Sequence[ErrorMaps]) -> float:
    """Value of a feature distance from the errors of its taps."""
    errors = [torch.from_numpy(row.enhanced)[None, None] for row in rows]  # (1, 1, h_k, w_k)
    return float(term.finish(term.combine([error.mean((1, 2, 3)) for error in errors])))
