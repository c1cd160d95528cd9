"""Sentences of the report: what they say, and that none claims more than its verdict."""

from types import SimpleNamespace

import numpy as np
import pytest

from restoration.compare import Statistics, find_differences
from restoration.compare.findings import Findings
from restoration.compare.report import words
from restoration.metrics import Column

N = 12
CLAIMS = ("cannot be told apart", "equal", "no difference", "the same", "identical")


def record_of(shifts, noise=0.005, num_images=N, **statistics):
    """A comparison of recipe "b" with "a", one shift per seed, at two noise levels."""
    draws = np.random.default_rng(5)
    rows = []
    for sigma in (25.0, 50.0):
        for seed, shift in enumerate(shifts):
            for image in range(num_images):
                place = {"set": "s", "image": f"{image}", "sigma": sigma, "seed": seed}
                value = 30 + draws.normal()
                gap = shift + draws.normal(0, noise)
                rows += [
                    place | {"run": "a", "psnr": value},
                    place | {"run": "b", "psnr": value + gap},
                ]
    how = Statistics(**statistics)
    differences = find_differences(rows, {"psnr": True}, "a", ["b"], how)
    recipes = [
        SimpleNamespace(name=name, trained=True, options=SimpleNamespace(manual_seed=0))
        for name in ("a", "b")
    ]
    seeds = list(range(len(shifts)))
    settings = SimpleNamespace(statistics=how, notes=[], start=None)
    plan = SimpleNamespace(reference=recipes[0], recipes=recipes, seeds=seeds, settings=settings)
    return SimpleNamespace(
        plan=plan,
        findings=Findings([], [], [], differences, []),
        columns={"psnr": Column("PSNR", True, 2, "dB")},
        missing=[],
        standings={},
        absent=[],
        marks=[],
        metrics=SimpleNamespace(notes=[]),
        identities={name: {"steps": 1000} for name in ("a", "b")},
        several=len(shifts) > 1,
        num_images=num_images,
        num_photographs=differences[0].estimate.num_photographs,
    )


@pytest.mark.parametrize(
    ("shifts", "sentence", "counts"),
    [
        ((0.5, 0.51, 0.49), "PSNR: better than a at every noise level (by 0.49", "2 better"),
        ((-0.5, -0.51, -0.49), "PSNR: worse than a at every noise level (by 0.50", "2 worse"),
        (
            (0.01, -0.01, 0.0),
            "PSNR: equivalent to a at every noise level (within 0.05 dB; mean difference ",
            "2 equivalent",
        ),
        (
            (0.5, -0.2, 0.1),
            "PSNR: inconclusive against a at every noise level (mean difference +0.13",
            "2 inconclusive",
        ),
        (
            (0.5, -0.2),
            "2 trainings, at least 3 are needed)",
            "2 with too few trainings or photographs",
        ),
    ],
)
def test_sentences_follow_the_verdict(shifts, sentence, counts):
    record = record_of(shifts)
    assert sentence in words.metric_sentence(record, "b", "psnr")
    assert words.headline(record, "b") == f"b against a: of 2 comparisons, {counts}."


@pytest.mark.parametrize("shifts", [(0.5, -0.2, 0.1), (0.5, -0.2), (0.0,), (0.5,)])
def test_nothing_is_called_equal_for_want_of_evidence(shifts):
    record = record_of(shifts)
    said = [words.headline(record, "b"), words.metric_sentence(record, "b", "psnr")]
    assert not any(claim in text for claim in CLAIMS for text in said)


def test_a_single_training_speaks_of_networks_and_names_no_winner():
    record = record_of((0.5,))
    sentence = words.metric_sentence(record, "b", "psnr")
    assert sentence.startswith(
        "PSNR: on new photographs these two networks differ by +0.498 to +0.499 dB at every noise"
    )
    assert "95% intervals within +0.49" in sentence
    said = [sentence, words.headline(record, "b"), *words.caveats(record)]
    assert not any(word in text for word in (" better than", " worse than") for text in said)
    assert "b against a: no side wins." in said[1]
    assert any("so no loss is called better" in text for text in said)


def test_the_same_values_are_said_to_be_the_same():
    record = record_of((0.0, 0.0), noise=0.0)
    assert words.headline(record, "b") == "b and a give exactly the same values on every image."
    sentence = words.metric_sentence(record, "b", "psnr")
    assert sentence == "PSNR: the same values as a on every image at every noise level."


def test_too_few_photographs_are_counted():
    record = record_of((0.5, -0.2, 0.1, 0.0, 0.3), num_images=2)
    assert "2 photographs, at least 3 are needed" in words.metric_sentence(record, "b", "psnr")
    assert any("more than 10 standard errors" in text for text in words.caveats(record))


def test_crops_are_said_to_be_of_few_photographs():
    record = record_of((0.5, 0.4, 0.6), group="^.")
    assert (
        words.caveats(record)[0] == "12 test images from 10 photographs, each of which counts once."
    )
    assert words.caveats(record_of((0.5, 0.4, 0.6)))[0] == "12 test images."
