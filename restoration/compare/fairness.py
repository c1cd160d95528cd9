"""What has to be the same for two recipes to be compared, as options and as hashes.

Options are compared key by key, so that a refusal can say which differ. Hashes are of what the
options lead to: the crops themselves, the initial weights, every learning rate.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from restoration.archs.denoisers import find_file
from restoration.common import distributed
from restoration.common.digests import digest_tensors, file_digest, plain_digest
from restoration.compare.plan import Plan, ResolvedRecipe
from restoration.data import CropDataset, PatchSchedule
from restoration.data.known_sets import pixel_digest
from restoration.evaluate import EvaluationSet
from restoration.options.load import differing_keys, plain
from restoration.options.schema import Options
from restoration.train.run import Run

LOSS_KEYS = ("losses", "pixel_opt", "perceptual_opt")
CARE_KEYS = ("max_hours", "max_skipped")  # of how a training ends, not of what it is
SPEED_KEYS = ("name", "num_worker_per_gpu", "cache_gb")  # change no sample
PROBES = 8  # samples of the stream that are cut and hashed


def conditions(options: Options) -> dict[str, Any]:
    """Everything about training that is not the loss, as plain values."""
    every = plain(options)
    train = {k: v for k, v in every.get("train", {}).items() if k not in LOSS_KEYS + CARE_KEYS}
    images = every["datasets"].get("train", {})
    start = {k: v for k, v in every["path"].items() if k in ("pretrain_network_g", "param_key_g")}
    start = {"param_key_g": "params"} | start
    return {
        "manual_seed": every["manual_seed"],
        "datasets": {"train": {k: v for k, v in images.items() if k not in SPEED_KEYS}},
        "network_g": every.get("network_g"),
        "path": start if "pretrain_network_g" in start else {},
        "train": train,
    }


def stream_definition(dataset: CropDataset, patches: PatchSchedule) -> dict[str, Any]:
    """What the sample stream is a function of."""
    source = dataset.source
    return {
        **dataset.definition,
        "images": [[name, *source.size(i)] for i, name in enumerate(source.names)],
        "stages": [patches.iters, patches.batch_sizes, patches.patch_sizes],
    }


def draws(dataset: CropDataset, patches: PatchSchedule, steps: int, micro: int) -> str:
    """Hash of samples as training gets them, at steps spread over the whole run.

    Args:
        dataset: the sample stream.
        patches: crop and batch of every step.
        steps: of the run.
        micro: micro-batches per step.

    Returns:
        SHA-256 of the crops, noise levels, noise seeds and mixing weights of PROBES samples.
    """
    chosen = sorted({round(k * (steps - 1) / max(1, PROBES - 1)) for k in range(PROBES)})
    total = hashlib.sha256()
    for step in chosen:
        patch, _ = patches.at(step)
        index = patches.first_sample(step, distributed.world_size(), micro)
        total.update(plain_digest(asdict(dataset.draw(index))).encode())
        total.update(digest_tensors(dataset[index, patch]).encode())
    return total.hexdigest()


def hash_test_sets(sets: Mapping[str, EvaluationSet]) -> tuple[str, dict[str, list[str]]]:
    """Hash the test images, pixel by pixel, and their noise levels.

    Returns:
        SHA-256 of all, and a checksum of every image, by set.
    """
    total = hashlib.sha256()
    digests: dict[str, list[str]] = {}
    for name, test_set in sets.items():
        total.update(f"{name} {test_set.definition}\n".encode())
        digests[name] = []
        for index in range(len(test_set)):
            image = test_set.source.decode(index)
            total.update(f"{test_set.source.names[index]} {image.shape} {image.dtype}\n".encode())
            total.update(image.tobytes())
            if test_set.degraded is not None:
                total.update(test_set.degraded.decode(index).tobytes())
            digests[name].append(pixel_digest(image))
    return total.hexdigest(), digests


def start_of(options: Options) -> dict[str, Any]:
    """Hash of the checkpoint that a training branches from; nothing without one on this machine."""
    start = options.path.pretrain_network_g
    if start is None:
        return {}
    try:
        return {"start": file_digest(find_file(start))}
    except FileNotFoundError:
        return {}


def identify(run: Run) -> dict[str, Any]:
    """Hash each thing that has to be the same for two recipes to be compared.

    Args:
        run: a training that was prepared and has not begun.

    Returns:
        SHA-256 of the sample stream's definition and of actual samples, of the network, its
        initial weights and the schedule; the number of steps; the checkpoint that it branches from,
        where there is one.
    """
    options, recipe, trainer = run.options, run.recipe, run.trainer
    weights = trainer.network.state_dict()
    schedule = conditions(options)["train"] | {
        "rates": [trainer.learning_rate(step) for step in range(recipe.total_iter)],
        "processes": distributed.world_size(),
    }
    shapes = {name: [str(t.dtype), *t.shape] for name, t in weights.items()}
    architecture = (options.network_g or {})["type"]
    return {
        "sample stream": plain_digest(stream_definition(run.dataset, run.patches)),
        "drawn samples": draws(run.dataset, run.patches, recipe.total_iter, recipe.accumulate),
        "network": plain_digest([architecture, shapes]),
        "initial weights": digest_tensors(weights),
        "schedule": plain_digest(schedule),
        "steps": recipe.total_iter,
        **start_of(options),
    }


@dataclass(frozen=True)
class Mark:
    """One thing beside the loss in which a recipe differs from the reference."""

    recipe: str
    key: str
    value: Any
    reference: Any


def find_marks(plan: Plan, identities: Mapping[str, dict[str, Any]] | None = None) -> list[Mark]:
    """List everything beside the loss in which a trained recipe differs from the first of them.

    Args:
        plan: the comparison.
        identities: of the recipes to look at, see `identify`; None to look at the options of all.

    Returns:
        Keys with both values; where the keys are the same and a hash is not, the hash.
    """
    trained = [
        recipe
        for recipe in plan.recipes
        if recipe.trained and (identities is None or recipe.name in identities)
    ]
    marks = []
    for recipe in trained[1:]:
        first = trained[0]
        differences = list(differing_keys(conditions(recipe.options), conditions(first.options)))
        if not differences and identities is not None:
            differences = list(differing_keys(identities[recipe.name], identities[first.name]))
        marks += [Mark(recipe.name, *difference) for difference in differences]
    return marks


def refuse(plan: Plan, marks: Sequence[Mark]) -> None:
    """Raise one ValueError that names every difference, if there is one."""
    if not marks:
        return
    first = next(recipe.name for recipe in plan.recipes if recipe.trained)
    by_recipe: dict[str, list[str]] = {}
    for mark in marks:
        text = f"{mark.key} ({_short(mark.value)} against {_short(mark.reference)})"
        by_recipe.setdefault(mark.recipe, []).append(text)
    told = "; ".join(f"{name} in {', '.join(keys)}" for name, keys in by_recipe.items())
    raise ValueError(
        f"recipes differ from {first} in more than the loss: {told}. Make them the same, or give "
        "--allow-different to compare them all the same, marked in the report"
    )


def _short(value: Any, limit: int = 40) -> str:
    text = str(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def check_unchanged(recipe: ResolvedRecipe, before: Options, folder: Path) -> None:
    """Refuse to continue with a recipe whose options were others when it was begun.

    Raises:
        ValueError: names the keys.
    """
    now, then = (
        conditions(options) | {"losses": options.train.as_given() if options.train else []}
        for options in (recipe.options, before)
    )
    keys = [key for key, _, _ in differing_keys(now, then)]
    if keys:
        raise ValueError(
            f"recipe {recipe.name} was begun in {folder} with another {', '.join(keys)}: put the "
            "options back, choose another --out, or leave out --auto_resume to begin anew"
        )
