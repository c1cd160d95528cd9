"""How much restoring in tiles changes, measured on one image."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from restoration.archs import restore
from restoration.degradations.conditions import Condition
from restoration.evaluate.benchmark import Benchmark
from restoration.evaluate.measure import to_batch
from restoration.evaluate.rows import condition_columns, condition_text, only_gaussian
from restoration.evaluate.sets import EvaluationSet
from restoration.metrics import psnr, to_uint8_range


def tile_differences(benchmark: Benchmark) -> list[dict[str, Any]]:
    """Compare tiles with the whole image, on the first one that is larger than a tile.

    Returns:
        {"run", "set", "image", "sigma", "max_abs", "psnr_change"} per network and condition:
        the largest difference in 0..255 units before rounding, and PSNR with tiles minus without,
        in dB. Empty where no image is larger.
    """
    tile, overlap = benchmark.options.val.tile, benchmark.options.val.tile_overlap
    assert tile is not None
    place = _larger_than(tile, benchmark.sets)
    if place is None:
        return []
    name, index = place
    test_set = benchmark.sets[name]
    clean_image = test_set.source.read_float(index)
    clean = to_batch(clean_image, benchmark.device)
    sigma = only_gaussian(test_set.conditions)
    differences = []
    for condition in test_set.conditions:
        noisy = to_batch(test_set.degrade(clean_image, index, condition), benchmark.device)
        for run, tested in benchmark.runs.items():
            if tested.network is None:
                continue
            whole = restore(tested.network, noisy).float()
            tiled = restore(tested.network, noisy, tile=tile, overlap=overlap).float()
            differences.append(
                {"run": run, "set": name, "image": test_set.source.names[index]}
                | condition_columns(condition, sigma)
                | {
                    "max_abs": float((tiled - whole).abs().max()) * 255,
                    "psnr_change": _psnr_change(tiled, whole, clean),
                }
            )
    return differences


def _psnr_change(tiled: Tensor, whole: Tensor, clean: Tensor) -> float:
    with_tiles, without = (float(psnr(to_uint8_range(x), clean)) for x in (tiled, whole))
    return 0.0 if with_tiles == without else with_tiles - without  # both may be infinite


def tile_notes(differences: Sequence[Mapping[str, Any]], tile: int | None) -> list[str]:
    """Say in one line per run how much tiles change."""
    if not differences:
        return [f"no image is larger than a tile of {tile} pixels: tiles change nothing"]
    notes = []
    for run in dict.fromkeys(difference["run"] for difference in differences):
        of_run = [difference for difference in differences if difference["run"] == run]
        changes = ", ".join(f"{d['psnr_change']:+.3f} dB at {_level(d)}" for d in of_run)
        largest = max(difference["max_abs"] for difference in of_run)
        notes.append(
            f"tiles of {tile} pixels against the whole {of_run[0]['set']}/{of_run[0]['image']}, "
            f"{run}: {changes}; largest difference {largest:.1f} of 255"
        )
    return notes


def _level(difference: Mapping[str, Any]) -> str:
    if "sigma" in difference:
        return f"{difference['sigma']:g}"
    return condition_text(Condition(difference["degradation"], difference["level"]))


def _larger_than(tile: int, sets: Mapping[str, EvaluationSet]) -> tuple[str, int] | None:
    for name, test_set in sets.items():
        for index in range(len(test_set)):
            if max(test_set.source.size(index)) > tile:
                return name, index
    return None
