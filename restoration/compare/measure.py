"""Every recipe's network on the same test images, and what was measured before, kept."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn

from restoration.common import distributed
from restoration.compare.plan import ResolvedRecipe
from restoration.evaluate import EvaluationSet, evaluate
from restoration.evaluate.candidates import describe_metrics, file_digest, plain_digest
from restoration.evaluate.measure import Row
from restoration.evaluate.sets import Metrics, load_tested
from restoration.options.schema import Options
from restoration.train import checkpoint

KEPT = "benchmark.json"


def tested_options(recipe: ResolvedRecipe, folder: Path) -> Options:
    """Options under which a recipe is tested: they name the weights that its training left."""
    if not recipe.trained:
        return recipe.options
    options = recipe.options.model_copy(deep=True)
    assert options.train is not None
    options.path.pretrain_network_g = folder / "models" / f"net_g_{checkpoint.LATEST}.pth"
    options.path.param_key_g = "params_ema" if options.train.ema_decay else "params"
    options.path.strict_load_g = True
    return options


def load(options: Options, device: torch.device) -> nn.Module:
    """Load the network under test; the global random stream stays as it is."""
    with torch.random.fork_rng(devices=[]):
        return load_tested(options, device)


def benchmark(
    recipe: ResolvedRecipe,
    folder: Path,
    sets: Mapping[str, EvaluationSet],
    sets_hash: str,
    metrics: Metrics,
    device: torch.device,
    with_noisy: bool,
    on_progress: Callable[[], None] | None = None,
) -> list[Row]:
    """Measure one recipe on every image and noise level, or read what was measured before.

    Args:
        recipe: with the checkpoint that its options name or that its training left.
        folder: of the recipe; benchmark.json is kept there.
        sets: test sets by name.
        sets_hash: of the test images; with the checkpoint's own hash, the metrics, their weights
            and the kind of device it decides whether the kept values still hold.
        metrics: what is measured.
        device: where to compute.
        with_noisy: add the rows of the noisy input.
        on_progress: called after each image and noise level that is measured.

    Returns:
        Rows as `evaluate` returns them, the run being the recipe's name.
    """
    options = tested_options(recipe, folder)
    path, val = options.path.pretrain_network_g, options.val
    assert path is not None
    if not path.is_file():
        raise FileNotFoundError(f"recipe {recipe.name}: checkpoint {path} does not exist")
    asked = [options.path.param_key_g, options.network_g, val.metric_specs, val.tile]
    asked += [
        describe_metrics(metrics.by_name),
        val.tile_overlap,
        with_noisy,
        device.type,
        recipe.name,
    ]
    key = distributed.from_main(plain_digest([file_digest(path), sets_hash, *asked]))
    kept = distributed.from_main(_read(folder / KEPT))
    if kept.get("key") == key:
        return kept["rows"]
    rows = evaluate(
        load(options, device),
        sets,
        metrics.by_name,
        device,
        run=recipe.name,
        with_noisy=with_noisy,
        tile=val.tile,
        overlap=val.tile_overlap,
        on_progress=on_progress,
    )
    if distributed.rank() == 0:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / KEPT).write_text(json.dumps({"key": key, "rows": rows}), encoding="utf-8")
    return rows


def _read(path: Path) -> dict:
    """What was kept; a file that an interruption cut counts as none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
