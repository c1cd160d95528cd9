"""What every training of a comparison began with, kept in the comparison's folder.

Whoever goes on later may have other images behind the same options. The hashes of the report have
to be those of what a network was really trained on, not those of today.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from restoration.common import distributed
from restoration.common.folders import OPTIONS_FILE, write_json
from restoration.common.reading import read_object
from restoration.compare.absent import divergence
from restoration.compare.fairness import check_unchanged
from restoration.compare.plan import ResolvedRecipe
from restoration.options.load import differing_keys, load_options
from restoration.options.schema import Options
from restoration.train import checkpoint
from restoration.train.states import is_whole

FOLDER = "begun"  # a file for each training, for trainings on several machines begin at once
ALL = "begun.json"  # of all trainings, as it was before
SIGNS = ("compare.log", ALL, FOLDER, f"recipes/**/{OPTIONS_FILE}")  # of a comparison's folder
WEIGHTS = "weights of the loss"
WAYS_OUT = "put that back, choose another --out, or leave out --auto_resume to begin anew"

Begun = dict[str, dict[str, Any]]  # by the run's place: its identity, and WEIGHTS


def read(folder: Path) -> Begun:
    """Read what is known of a comparison's trainings; nothing where there are no files."""
    known = _read(folder / ALL) if (folder / ALL).is_file() else {}
    for file in sorted((folder / FOLDER).glob("**/*.json")):
        known |= _read(file)
    return known


def _read(file: Path) -> Begun:
    content = read_object(file)
    if not all(isinstance(known, dict) for known in content.values()):
        raise ValueError(f"expected what trainings began with in {file}, got something else")
    return content


def note(
    run: ResolvedRecipe, folder: Path, recipes: Path, identity: dict[str, Any], weights: str
) -> None:
    """Write down what a training begins with; one that goes on keeps what is known of it.

    Args:
        run: a training, not begun yet.
        folder: of the comparison.
        recipes: folder of the recipes' folders.
        identity: see `fairness.identify`.
        weights: SHA-256 of the weights of its loss.
    """
    if distributed.rank() == 0 and checkpoint.latest_state(recipes / run.place) is None:
        file = folder / FOLDER / f"{run.place}.json"
        write_json(file, {str(run.place): {"identity": identity, WEIGHTS: weights}})


def going_on(runs: Sequence[ResolvedRecipe], folder: Path, recipes: Path) -> Begun:
    """What the trainings that will go on, or are finished, began with.

    Args:
        runs: of a comparison.
        folder: of the comparison.
        recipes: folder of the recipes' folders.

    Raises:
        ValueError: one was begun with other options, or otherwise seeded.
    """
    known = read(folder)
    for run in runs:
        if run.trained:
            _check_options(run, recipes)
            left = checkpoint.latest_state(recipes / run.place) or divergence(recipes / run.place)
            if not left:
                known.pop(str(run.place), None)  # begins anew
    return known


def is_finished(run: ResolvedRecipe, folder: Path) -> bool:
    """Whether the training in a folder has nothing left to do."""
    state = checkpoint.latest_state(folder)
    last = folder / "models" / f"net_g_{checkpoint.LATEST}.pth"
    assert run.options.train is not None
    if state is None or int(state.stem) != run.options.train.total_iter:
        return False
    return is_whole(last)  # else it is written again from the state


def check_identity(run: ResolvedRecipe, known: dict[str, Any], identity: dict[str, Any]) -> None:
    """Refuse to continue with a training that would see something else than its beginning.

    Args:
        run: a training.
        known: what it began with; empty if it has not begun, or nobody wrote it down.
        identity: what it would begin with now, see `fairness.identify`.

    Raises:
        ValueError: they differ.
    """
    keys = [key for key, _, _ in differing_keys(identity, known.get("identity", identity))]
    if keys:
        raise ValueError(
            f"recipe {run.title} was begun with another {', '.join(keys)} under the same options "
            f"(other images, another start, or another number of processes): {WAYS_OUT}"
        )


def check_weights(run: ResolvedRecipe, known: dict[str, Any], weights: str) -> None:
    """Refuse to continue with a training, finished or not, whose loss had other weights.

    Args:
        run: a training.
        known: what it began with; empty if it has not begun, or nobody wrote it down.
        weights: SHA-256 of the weights of its loss now.

    Raises:
        ValueError: they are others than when it was begun.
    """
    if known.get(WEIGHTS, weights) != weights:
        raise ValueError(
            f"recipe {run.title} was begun with other {WEIGHTS} (backbone or masks) under the same "
            f"options: {WAYS_OUT}"
        )


def _check_options(run: ResolvedRecipe, folder: Path) -> None:
    """Refuse to continue with a training that was begun with other options or otherwise seeded."""
    before, single = folder / run.place / "options.yml", folder / run.name
    if before.is_file():
        check_unchanged(run, load_options(before), before.parent)
    elif run.seed is not None and (single / "options.yml").is_file():
        earlier: Options = load_options(single / "options.yml")
        raise ValueError(
            f"recipe {run.name} was begun in {single} without `seeds`: to continue with it, "
            f"move what is in it to {single / f'seed_{earlier.manual_seed}'}; else choose another "
            "--out, or leave out --auto_resume to begin anew"
        )
    elif run.seed is None and any(single.glob("seed_*")):
        raise ValueError(
            f"recipe {run.name} was begun in {single} with `seeds`: put them back, choose another "
            "--out, or leave out --auto_resume to begin anew"
        )
