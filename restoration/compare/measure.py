"""The networks of a comparison as the runs of one benchmark."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from restoration.compare.plan import Plan, ResolvedRecipe
from restoration.evaluate.candidates import TestedRun, load_run
from restoration.evaluate.rows import Row
from restoration.options.schema import Options
from restoration.train import checkpoint


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


def load_tested(recipe: ResolvedRecipe, folder: Path, device: torch.device) -> TestedRun:
    """Load what a recipe is tested with: its checkpoint, or what its training left in a folder.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it does not fit the network, or the network not the images.
    """
    options = tested_options(recipe, folder)
    (saved,) = options.checkpoints(recipe.name).values()
    return load_run(saved, options, device)


def name_rows(rows: Sequence[Row], plan: Plan) -> list[Row]:
    """Name the rows of a benchmark, whose runs are places, by recipe and seed."""
    runs: Mapping[str, ResolvedRecipe] = {str(run.place): run for run in plan.runs}
    return [
        replace(row, run=runs[row.run].name, seed=runs[row.run].seed) if row.run in runs else row
        for row in rows
    ]
