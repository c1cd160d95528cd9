"""The first line of a report: one sentence that names no winner which the verdicts don't name."""

from types import SimpleNamespace

import numpy as np
import pytest

from restoration.compare import Statistics
from restoration.compare.findings import find
from restoration.compare.report.answer import answer
from restoration.evaluate.rows import to_row
from restoration.metrics import Column

COLUMNS = {"psnr": Column("PSNR", True, 2, "dB"), "lpips": Column("LPIPS", False, 4)}
HIGHER = {name: column.higher_is_better for name, column in COLUMNS.items()}
SIGMAS = (25.0, 50.0)


def record_of(recipes, num_seeds=4, noise=0.001, **statistics):
    """A comparison with "a": by recipe and metric the shifts at both noise levels."""
    draws = np.random.default_rng(5)
    rows = []
    for level, sigma in enumerate(SIGMAS):
        for seed in range(num_seeds):
            for image in range(8):
                place = {"set": "s", "image": f"{image}", "sigma": sigma, "seed": seed}
                base = {metric: 30 + draws.normal() for metric in COLUMNS}
                rows.append(place | {"run": "a"} | base)
                for run, shifts in recipes.items():
                    spread = 0.0 if shifts is None else noise
                    values = {
                        metric: base[metric]
                        + ((shifts or {}).get(metric) or (0, 0))[level]
                        + draws.normal(0, spread)
                        for metric in COLUMNS
                    }
                    rows.append(place | {"run": run} | values)
    how = Statistics(**statistics)
    found = find([to_row(row) for row in rows], HIGHER, "a", list(recipes), [], how)
    challengers = [SimpleNamespace(name=name) for name in recipes]
    plan = SimpleNamespace(
        reference=SimpleNamespace(name="a"),
        challengers=challengers,
        settings=SimpleNamespace(statistics=how),
    )
    return SimpleNamespace(plan=plan, findings=found, columns=COLUMNS, fronts=[])


UP, DOWN, LATER = (1, 1), (-1, -1), (0, 1)


@pytest.mark.parametrize(
    ("recipes", "sentence"),
    [
        (
            {"b": {"psnr": DOWN, "lpips": DOWN}},
            "Against a, b is better in LPIPS and worse in PSNR.",
        ),
        ({"b": {"psnr": UP, "lpips": DOWN}}, "Against a, b is better in PSNR and LPIPS."),
        ({"b": {"psnr": LATER}}, "Against a, b is better in PSNR (at sigma 50)."),
        ({"b": {}}, "Against a, b is equivalent."),
        ({"b": None}, "Against a, b is the same on every image."),
        (
            {"b": {}, "c": {"psnr": UP}, "d": {}},
            "Against a, c is better in PSNR; b and d are equivalent.",
        ),
        (
            {
                "b": {"psnr": UP},
                "c": {"lpips": DOWN},
                "d": {},
                "e": {"psnr": DOWN},
                "f": {"lpips": LATER},
            },
            "Against a, b is better in PSNR; c is better in LPIPS; e is worse in PSNR; 2 more "
            "findings stand below.",
        ),
        (
            {"b": {}, "c": {}, "d": {}, "e": {}},
            "Against a, 4 recipes are equivalent.",
        ),
    ],
)
def test_the_answer_is_one_sentence_of_the_verdicts(recipes, sentence):
    margins = {"psnr": 0.05, "lpips": 0.05}
    said = answer(record_of(recipes, margins=margins))
    assert said == sentence
    assert said.count(".") == 1


def test_primary_metrics_are_what_is_answered():
    recipes = {"b": {"psnr": DOWN, "lpips": DOWN}}
    assert answer(record_of(recipes, primary=["lpips"])) == "Against a, b is better in LPIPS."


def test_single_trainings_have_no_winner():
    said = answer(record_of({"b": {"psnr": UP}}, num_seeds=1))
    assert said.startswith("No recipe is shown to be better: each was trained once")
    assert "better in" not in said


def test_few_trainings_are_said_to_be_few():
    said = answer(record_of({"b": {}}, num_seeds=2, noise=0.5))
    assert said == (
        "Against a, b is neither shown to be better nor worse, with too few trainings or "
        "photographs."
    )
