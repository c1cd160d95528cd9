"""Sentences and figures of fronts: what they say, and that none claims more than its verdict."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from restoration.compare import Statistics, find_fronts
from restoration.compare.report import front_words
from restoration.compare.report.answer import answer
from restoration.compare.report.fronts import front_section, write_figures
from restoration.evaluate import Row
from restoration.metrics import Column

SHARES = (0.1, 0.3, 0.6)
NUM_IMAGES = 12


def record_of(gains, noise=0.005, num_seeds=3, shares=SHARES, moved=0.0):
    """A comparison of loss "b" with "a" at two noise levels; gains in PSNR by share of "b"."""
    draws, rows = np.random.default_rng(5), []
    photos = draws.normal(size=NUM_IMAGES)
    for name in "ab":
        for share in shares:
            x, y = 0.3 - 0.1 * share, 30 - 2 * share
            if name == "b":
                x, y = x + moved, y + gains.get(share, 0)
            rows += [
                Row(
                    f"{name} {share}",
                    "s",
                    f"{i}",
                    "gaussian",
                    sigma,
                    {"lpips": x + 0.01 * photos[i], "psnr": y + photos[i] + draws.normal(0, noise)},
                    seed,
                )
                for sigma in (25.0, 50.0)
                for seed in range(num_seeds)
                for i in range(NUM_IMAGES)
            ]
    how = Statistics()
    curves = {name: {f"{name} {share}": f"share={share}" for share in shares} for name in "ab"}
    panels = find_fronts(rows, curves, {"psnr": True}, {"lpips": False}, f"a {shares[0]}", how)
    names = [name for labels in curves.values() for name in labels]
    return SimpleNamespace(
        plan=SimpleNamespace(
            recipes=[SimpleNamespace(name=name) for name in names],
            settings=SimpleNamespace(statistics=how),
            seeds=list(range(num_seeds)),
        ),
        fronts=panels,
        findings=SimpleNamespace(conditions=[panel.condition for panel in panels]),
        columns={"psnr": Column("PSNR", True, 2, "dB"), "lpips": Column("LPIPS", False)},
        several=num_seeds > 1,
    )


def alike(gain):
    return dict.fromkeys(SHARES, gain)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (
            record_of(alike(0.5)),
            r"lies above that of a at every noise level \(.*dB, 95% inte",
        ),
        (record_of(alike(-0.5)), r"lies below that of a at every noise level \(.0.5"),
        (record_of(alike(0.0)), r"is equivalent to that of a at every .* \(within 0.05 dB; "),
        (
            record_of(alike(0.1), noise=1.0),
            "is inconclusive against that of a at every noise level",
        ),
        (
            record_of({0.1: 2.0, 0.3: 1.0, 0.6: -0.4}),
            "crosses that of a .* so that neither is above",
        ),
        (record_of(alike(0.5), num_seeds=1), "was trained once, which tells nothing of the loss"),
        (record_of(alike(0.1), noise=1.0, num_seeds=2), "has too few trainings or photographs"),
        (record_of(alike(0.5), moved=0.2), "does not overlap with that of a at every noise level"),
    ],
)
def test_sentences_follow_the_verdict(record, said):
    (sentence,) = front_words.front_sentences(record)
    assert sentence.startswith("PSNR at equal LPIPS: the front of b ")
    assert re.search(said, sentence), sentence
    claims = [word for word in ("lies above", "lies below") if word in sentence]
    assert answer(record) == sentence, "the first line of the page"
    assert bool(claims) == ("lies above that" in said or "lies below that" in said)


def test_the_table_has_what_was_found():
    record = record_of(alike(0.5))
    (pair,) = front_words.pairs_of(record)
    rows = front_words.table(record, pair)
    assert [(row["curve"], row["against"], row["condition"]) for row in rows] == [
        ("b", "a", "25"),
        ("b", "a", "50"),
    ]
    assert all(row["word"] == "better" and row["overlap"].count("0.2") == 2 for row in rows)
    assert "Holm's correction over 2 tests" in front_words.method(record)


def test_figures_are_on_the_page_and_beside_it(tmp_path):
    record = record_of(alike(0.5))
    section = front_section(record)
    (pair,) = section["pairs"]
    assert (section["title"], len(pair["figures"])) == ("Fronts", 2)
    for svg in (drawing.__html__() for drawing in pair["figures"]):
        assert "var(--series-1)" in svg and "LPIPS; left is better" in svg
    files = write_figures(record, tmp_path / "figures")
    assert [file.name for file in files] == [
        f"front_psnr_lpips.{kind}" for kind in ("png", "svg", "pdf")
    ]
    before = [file.read_bytes() for file in files]
    assert [file.read_bytes() for file in write_figures(record, tmp_path / "figures")] == before


def test_without_a_grid_every_recipe_is_a_point():
    record = record_of(alike(0.5), shares=(0.3,))
    section = front_section(record)
    assert (section["title"], section["curves"]) == ("PSNR and LPIPS", False)
    assert section["pairs"][0]["rows"] == []
    assert front_words.front_sentences(record) == []


def test_nothing_is_shown_where_nothing_was_measured():
    record = record_of(alike(0.5))
    record.fronts = []
    assert front_section(record) is None
