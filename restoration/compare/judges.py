"""Who may judge: what each metric has in common with what the recipes were trained on.

A recipe is favoured by its own loss, and by metrics of the same kind: E-MAE judges E-VGG by masks
that were trained alike. So every comparison has, if it can be had, a metric that no recipe was
trained on, and the report says for each metric how it stands to the losses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from losses.features.published import offline
from restoration.compare.plan import ResolvedRecipe
from restoration.evaluate.checks import check_metrics
from restoration.evaluate.sets import EvaluationSet
from restoration.metrics import Metric, Metrics, MetricUnavailable, build_metrics, open_metrics
from restoration.metrics.piq_metrics import PIQ

CANDIDATES = ("lpips", "dists", "ms_ssim", "milo")
PIXELS, STRUCTURE, GRADIENTS = "an error of pixels", "structural similarity", "gradients"
MASKS, VGG = "visual masks of the same kind and teachers", "features of a VGG network"
KINDS: dict[str, tuple[str, ...]] = {
    "mae": (PIXELS,),
    "mse": (PIXELS,),
    "charbonnier": (PIXELS,),
    "psnr": (PIXELS,),
    "ssim": (STRUCTURE,),
    "ms_ssim": (STRUCTURE,),
    "vgg": (VGG,),
    "lpips": ("LPIPS",),
    "dists": ("DISTS", VGG),
    "flip": ("FLIP",),
    "milo": ("MILO",),
    "haarpsi": ("Haar wavelets",),
    "mdsi": (GRADIENTS,),
    "gmsd": (GRADIENTS,),
    "ms_gmsd": (GRADIENTS,),
    "fsim": ("phase congruency",),
    "vsi": ("saliency",),
    "iw_ssim": (STRUCTURE,),
}
KINDS |= {f"e_{name}": (MASKS, *kinds) for name, kinds in list(KINDS.items())}
EVERY = "every recipe"


def canonical(name: str) -> str:
    """Name of a metric or loss term as option files of metrics have it: "E-MAE x100" is e_mae."""
    return name.split(" ")[0].lower().replace("-", "_")


@dataclass(frozen=True)
class Standing:
    """How a metric stands to what the recipes were trained on.

    Attributes:
        metric: name.
        kind: its canonical name.
        trained: recipes that have it as a loss; those of a grid are one.
        kin: what it has in common with loss terms, and whose: ("visual masks ...", "E-VGG",
            ["mae_evgg"]).
        of_all: number of trained recipes.
    """

    metric: str
    kind: str
    trained: tuple[str, ...]
    kin: tuple[tuple[str, str, tuple[str, ...]], ...]
    of_all: int

    @property
    def is_judge(self) -> bool:
        """Whether it is a quality metric of its own, and of the kind of no recipe's loss."""
        return self.kind in (*CANDIDATES, *PIQ) and not self.trained and not self.kin

    @property
    def text(self) -> str:
        """In words."""
        if self.trained:
            return f"the loss of {self._who(self.trained)} contains it"
        if self.kind not in KINDS:
            return "not known here: whether it resembles a loss is for its author to say"
        if not self.kin:
            return "independent: no recipe was trained on it, nor on its kind"
        said = [f"{kind}, as {term} of {self._who(names)}" for kind, term, names in self.kin]
        return f"no recipe was trained on it, but on its kind: {'; '.join(said)}"

    def _who(self, names: Sequence[str]) -> str:
        return EVERY if len(names) == self.of_all > 1 else ", ".join(names)


def _terms(recipe: ResolvedRecipe) -> list[str]:
    train = recipe.options.train
    return [] if train is None else [str(term["type"]) for term in train.terms()]


def standing(name: str, kind: str, recipes: Sequence[ResolvedRecipe]) -> Standing:
    """Say how a metric stands to the losses.

    Args:
        name: of the metric in results.
        kind: its canonical name.
        recipes: whose losses count.
    """
    trained = [recipe for recipe in recipes if recipe.trained]
    users: dict[str, list[str]] = {}
    for recipe in trained:
        for term in dict.fromkeys(_terms(recipe)):
            names = users.setdefault(term, [])
            if recipe.family not in names:
                names.append(recipe.family)
    own = [who for term, names in users.items() if canonical(term) == kind for who in names]
    kin = [
        (common[0], term, tuple(names))
        for term, names in users.items()
        if (common := [k for k in KINDS.get(kind, ()) if k in KINDS.get(canonical(term), ())])
    ]
    count = len({recipe.family for recipe in trained})
    return Standing(name, kind, tuple(own), tuple(kin), count)


def standings(
    metrics: Mapping[str, Metric], recipes: Sequence[ResolvedRecipe]
) -> dict[str, Standing]:
    """How every metric stands to the losses, by its name."""
    return {
        name: standing(name, canonical(metric.label), recipes) for name, metric in metrics.items()
    }


def add_judges(
    metrics: Metrics,
    judges: Sequence[str | dict[str, Any]] | None,
    recipes: Sequence[ResolvedRecipe],
    sets: Mapping[str, EvaluationSet],
    device: torch.device,
) -> Metrics:
    """Add metrics that no recipe was trained on.

    Args:
        metrics: those that the options ask for.
        judges: see `Comparison.judges`; None to choose one where there is none.
        recipes: whose losses count.
        sets: test sets, whose images a chosen judge has to be able to measure.
        device: where to try it.

    Returns:
        The metrics, and the judges that were not among them.

    Raises:
        ValueError: a judge that a recipe was trained on, or that cannot be built.
    """
    if judges is None:
        return _with_default(metrics, recipes, sets, device)
    opened = open_metrics(list(judges))
    for name, one in standings(opened.by_name, recipes).items():
        if one.trained:
            raise ValueError(
                f"`judges`: expected metrics that no recipe was trained on, got {name}, which is "
                f"in the loss of {', '.join(one.trained)}"
            )
    added = {name: one for name, one in opened.by_name.items() if name not in metrics.by_name}
    return Metrics(metrics.by_name | added, [*metrics.notes, *opened.notes])


def _with_default(
    metrics: Metrics,
    recipes: Sequence[ResolvedRecipe],
    sets: Mapping[str, EvaluationSet],
    device: torch.device,
) -> Metrics:
    if any(one.is_judge for one in standings(metrics.by_name, recipes).values()):
        return metrics
    measured = {canonical(metric.label) for metric in metrics.by_name.values()}
    by_kind = {kind: standing(kind, kind, recipes) for kind in CANDIDATES if kind not in measured}
    ordered = sorted(by_kind, key=lambda kind: bool(by_kind[kind].kin))  # stable: strangers first
    for kind in [kind for kind in ordered if not by_kind[kind].trained]:
        found = _try(kind, sets, device)
        if found is not None and kind not in metrics.by_name:
            return Metrics(metrics.by_name | {kind: found}, metrics.notes)
    return metrics


def _try(kind: str, sets: Mapping[str, EvaluationSet], device: torch.device) -> Metric | None:
    """Build a metric from what is on this machine; None if that, or an image, does not do."""
    try:
        with offline():
            (metric,) = build_metrics([kind]).values()
        check_metrics(Metrics({kind: metric}), sets, device)
    except (MetricUnavailable, ValueError):
        return None
    return metric
