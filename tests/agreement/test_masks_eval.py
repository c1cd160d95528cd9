import csv
import json
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

import losses
from restoration.agreement.measure import PairValues
from restoration.agreement.metrics import MASKED, NamedMetric, build_named
from restoration.agreement.plots import bar_figure, scatter_figure
from restoration.agreement.report import ALL, compare, gain_table, partners, table
from restoration.cli import main
from restoration.cli.masks import SUBCOMMANDS
from restoration.data import open_source, read_float, write_png
from restoration.degradations.distortions import DISTORTIONS, distort
from restoration.degradations.kadid import RATED
from restoration.masks.options import MaskMetric
from restoration.metrics.fingerprint import fingerprint
from restoration.opinion.calibrated import people_means
from restoration.opinion.contact_sheet import contact_sheet, visibility
from restoration.opinion.distorted import DistortedPairs

KINDS = "gaussian_blur,white_noise"


@pytest.fixture(scope="module")
def photographs():
    return [open_source("skimage:chelsea,coffee").read(i)[100:164, 200:264] for i in range(2)]


@pytest.fixture(scope="module")
def opinions(photographs, tmp_path_factory):
    """A CSV data set: scores fall with the level, in 0..100."""
    root = tmp_path_factory.mktemp("opinions")
    lines = ["distorted,reference,category,score"]
    for number, photograph in enumerate(photographs):
        write_png(root / f"{number}.png", photograph)
        for kind in KINDS.split(","):
            for level in range(1, 6):
                name = f"{number}_{kind}_{level}.png"
                write_png(root / name, distort(photograph, kind, level, number))
                lines.append(f"{name},{number}.png,{kind},{100 - 18 * level + number}")
    (root / "list.csv").write_text("\n".join(lines))
    return root / "list.csv"


def evaluate(data, out, *more):
    return main(["masks", "eval", "--data", str(data), "--out", str(out), *more])


def of_csv(opinions, *more):
    return [f"csv:{opinions}", "--direction", "MOS", "--range", "0", "100", *more]


def read_rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def evaluated(opinions, tmp_path_factory):
    out = tmp_path_factory.mktemp("results") / "masks"
    first, *more = of_csv(opinions, "--metrics", "mae,e-mae,psnr", "--resamples", "50")
    assert evaluate(first, out, *more) == 0
    return out


# ------------------------------------------------------------------ eval


def test_every_number_can_be_computed_from_per_pair(evaluated, opinions):
    pairs = read_rows(evaluated / "per_pair.csv")
    rows = {(r["metric"], r["category"]): r for r in read_rows(evaluated / "scores.csv")}
    assert len(pairs) == 20 and len(rows) == 3 * 3
    for metric, sign in (("mae", -1), ("e-mae", -1), ("psnr", 1)):
        for kind in (*KINDS.split(","), ALL):
            chosen = [p for p in pairs if kind in (ALL, p["category"])]
            x = [sign * float(p[metric]) for p in chosen]
            y = [float(p["score"]) for p in chosen]
            row = rows[metric, kind]
            assert int(row["n"]) == len(chosen) and int(row["references"]) == 2
            assert float(row["srocc"]) == pytest.approx(stats.spearmanr(x, y)[0])
            assert float(row["krcc"]) == pytest.approx(stats.kendalltau(x, y)[0])
            assert float(row["srocc_low"]) <= float(row["srocc_high"])
    first = pairs[0]
    distorted = torch.from_numpy(read_float(opinions.parent / first["distorted"]))
    reference = torch.from_numpy(read_float(opinions.parent / first["reference"]))
    batch = [x.permute(2, 0, 1)[None].contiguous() for x in (distorted, reference)]
    for name, term in (("mae", losses.MAE()), ("e-mae", losses.EnhancedMAE())):
        assert float(first[name]) == pytest.approx(float(term(*batch)), rel=1e-4)


def test_files_and_pictures(evaluated):
    content = json.loads((evaluated / "scores.json").read_text())
    assert content["data"].startswith("list: 20 pairs, 2 references; MOS in [0, 100]")
    assert content["arguments"]["resamples"] == 50 and "versions" in content
    assert [g["metric"] for g in content["gains"]] == ["e-mae"] * 3
    text = (evaluated / "table.md").read_text()
    assert "| SROCC | gaussian_blur | white_noise | all |" in text and "**" in text
    for name in ("scatter.png", "bars.png"):
        picture = np.asarray(Image.open(evaluated / name).convert("RGB"))
        assert min(picture.shape[:2]) > 250 and picture.std() > 10


def test_a_rerun_measures_nothing_and_new_images_or_metrics_are_measured(
    evaluated, opinions, monkeypatch
):
    calls = []
    real = PairValues._measure
    monkeypatch.setattr(PairValues, "_measure", lambda *a: (calls.append(1), real(*a))[1])
    before = (evaluated / "per_pair.csv").read_text()
    first, *more = of_csv(opinions, "--metrics", "mae,e-mae,psnr", "--resamples", "50")
    assert evaluate(first, evaluated, *more) == 0
    assert not calls and (evaluated / "per_pair.csv").read_text() == before
    first, *more = of_csv(opinions, "--metrics", "mse", "--resamples", "0")
    assert evaluate(first, evaluated, *more) == 0
    assert calls and "e-mae" in read_rows(evaluated / "per_pair.csv")[0]
    assert read_rows(evaluated / "scores.csv")[0]["srocc_low"] == ""


def test_pseudo_opinion_ranks_levels_and_says_that_nobody_was_asked(tmp_path, capsys):
    pytest.importorskip("piq")
    arguments = ["--distortions", KINDS, "--size", "64", "--metrics", "mae", "--resamples", "20"]
    assert evaluate("pseudo:skimage:chelsea,coffee", tmp_path, *arguments) == 0
    assert "no human scores" in capsys.readouterr().out
    rows = read_rows(tmp_path / "per_pair.csv")
    assert len(rows) == 2 * 2 * 5 and "teacher haarpsi" in rows[0]
    scores = np.array([float(r["score"]) for r in rows]).reshape(2, 2, 5)
    assert scores.min() >= 0 and scores.max() <= 1
    assert (np.diff(scores, axis=2) < 0).all()


def test_calibrated_ratings_are_what_people_said_of_the_kind_and_level(tmp_path, capsys):
    kinds = ["--distortions", "white_noise,brighten", "--levels", "1,3,5", "--size", "64"]
    more = ["--metrics", "mae,psnr", "--resamples", "0", "--by-family"]
    assert evaluate("calibrated:skimage:chelsea,coffee", tmp_path, *kinds, *more) == 0
    assert "KADID-10k's mean rating" in " ".join(capsys.readouterr().out.split())
    pairs = read_rows(tmp_path / "per_pair.csv")
    assert {pair["category"] for pair in pairs} == {"noise", "brightness"}
    for pair in pairs:
        name, kind, level = pair["distorted"].rsplit(":", 2)
        mean = people_means()[kind][int(level) - 1]
        assert float(pair["score"]) == pytest.approx((mean - 1) / 4)
    noisy = distort(
        open_source("skimage:coffee").read(0)[168:232, 268:332], "white_noise", 5, (0, 1), RATED
    )
    clean = open_source("skimage:coffee").read(0)[168:232, 268:332]
    (row,) = [p for p in pairs if p["distorted"] == "coffee:white_noise:5"]
    error = np.abs(noisy.astype(float) - clean).mean() / 255
    assert float(row["mae"]) == pytest.approx(error, rel=1e-5), "KADID-10k's own strengths"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "kadid:x"], "did you mean kadid10k:x"),
        (["--data", "csq:x"], "did you mean csiq:x"),
        (["--data", "csiq:nowhere"], "nowhere"),
        (["--data", "csiq:x", "--range", "0", "1"], "itself"),
        (["--data", "csv:CSV"], "state the direction"),
        (["--data", "pseudo:"], "folder of clean photographs"),
        (["--data", "pseudo:skimage:coffee", "--distortions", "gausian_blur"], "gaussian_blur"),
        (["--data", "pseudo:skimage:coffee", "--references", "2"], "1 to 1 references"),
        (["--data", "pseudo:skimage:coffee", "--size", "half"], "--size whole or a number"),
        (["--data", "pseudo:skimage:coffee", "--size", "4000"], "sides of 4000"),
        (["--data", "pseudo:skimage:coffee", "--levels", "0,1"], "levels from 1 to 5"),
        (["--data", "pseudo:skimage:coffee", "--levels", "a"], "numbers such as"),
        (["--data", "pseudo:skimage:coffee", "--direction", "mos"], "for csv: alone"),
        (
            ["--data", "pseudo:skimage:coffee", "--teachers", "vif"],
            "iw_ssim, dists, lpips, mae, ensemble, held-out, got 'vif'",
        ),
        (["--data", "pseudo:skimage:coffee", "--resamples", "-1"], "0 or more"),
        (["--data", "calibrated:"], "folder of clean photographs"),
        (["--data", "calibrated:skimage:coffee", "--teachers", "vsi"], "for pseudo: alone"),
        (["--data", "calibrated:skimage:coffee", "--range", "0", "1"], "for csv: alone"),
        (["--data", "pseudo:skimage:coffee", "--metrics", "maee"], "did you mean 'mae'"),
        (["--data", "pseudo:skimage:coffee", "--metrics", "mae,MAE"], "'mae' twice"),
        (["--data", "pseudo:skimage:coffee", "--metrics", "mae=x.pth"], "masks for e-mae"),
        (["--data", "pseudo:skimage:coffee", "--metrics", "e-mae=x.pth"], "x.pth does not exist"),
        (["--data", "pseudo:skimage:coffee", "--metrics", "vgg:wide=1"], "unknown argument 'wide'"),
        (
            ["--data", "pseudo:skimage:coffee", "--metrics", "mae", "--masks", "e-mae=x"],
            "not among the metrics",
        ),
    ],
)
def test_mistakes_are_one_line(arguments, message, opinions, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [a.replace("CSV", str(opinions)) for a in arguments]
    assert main(["masks", "eval", *arguments]) == 2
    printed = capsys.readouterr().err
    assert message in printed and printed.count("\n") == 1 and "Traceback" not in printed
    assert not list(tmp_path.iterdir()), "nothing half-written"


def test_the_dictionary_of_subcommands_is_what_the_parser_knows(capsys):
    with pytest.raises(SystemExit):
        main(["masks", "--help"])
    printed = capsys.readouterr().out
    assert all(name in printed for name in SUBCOMMANDS)


# ------------------------------------------------------------------ metrics by name


def test_names_masks_and_arguments():
    shipped = str(losses.weights.resolve("pixel_mask_e_mae"))
    metrics = build_named(["MAE", "e_mae", f"e-mae={shipped}", "ssim:crop_border=4", "vgg"])
    assert [m.label for m in metrics] == [
        "mae", "e-mae", "e-mae (pixel_mask_e_mae)", "ssim (crop_border=4)", "vgg",
    ]  # fmt: skip
    assert [m.plain for m in metrics] == [None, "mae", "mae", None, None]
    assert [m.higher_is_better for m in metrics] == [False, False, False, True, False]
    backbone = losses.weights.resolve("embedded_backbone")
    assert build_named([f"vgg:weights={backbone}"])[0].label == f"vgg (weights={backbone.name})"
    x, y = torch.rand(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert float(metrics[1].function(x, y)) == float(metrics[2].function(x, y))


def test_every_enhanced_metric_stands_beside_its_plain_one():
    """Of all that can be trained here; flip is quick to build, the others need VGG-16."""
    assert set(MASKED) == set(get_args(MaskMetric.model_fields["type"].annotation))
    assert [m.plain for m in build_named(["flip", "e-flip"])] == [None, "flip"]


def test_plain_and_enhanced_have_the_same_features():
    """A difference of VGG-16 and another backbone would be that of the backbones, too."""
    metrics = build_named(["vgg:backbone=vgg16:weights=random", "e-vgg", "vgg", "mae", "e-mae"])
    assert partners(metrics) == [("e-vgg", "vgg"), ("e-mae", "mae")]
    assert partners(metrics[:2]) == []


def test_masks_for_all_and_for_one():
    shipped = str(losses.weights.resolve("pixel_mask_e_mae"))
    labels = [m.label for m in build_named(["e-mae", "e-psnr"], masks=[shipped])]
    assert labels == ["e-mae (pixel_mask_e_mae)", "e-psnr (pixel_mask_e_mae)"]
    labels = [m.label for m in build_named(["e-mae", "e-psnr"], masks=[f"e-mae={shipped}"])]
    assert labels == ["e-mae (pixel_mask_e_mae)", "e-psnr"]


def test_trained_masks_are_called_by_their_folder(tmp_path):
    shipped = losses.weights.resolve("pixel_mask_e_mae")
    files = [tmp_path / name / "masks.safetensors" for name in ("first", "second")]
    for file in files:
        file.parent.mkdir()
        file.symlink_to(shipped)
    labels = [m.label for m in build_named([f"e-mae={file}" for file in files])]
    assert labels == ["e-mae (first)", "e-mae (second)"]
    assert build_named([f"e-mae:weights={files[0]}"])[0].label == "e-mae (first)"
    with pytest.raises(ValueError, match="'e-mae \\(first\\)' twice: .*rename one"):
        build_named([f"e-mae={files[0]}", f"e-mae={files[0]}"])


def test_fingerprints_tell_metrics_apart():
    metrics = build_named(["mae", "e-mae", "mse", "vgg", "e-vgg"])
    prints = [fingerprint(m.function) for m in metrics]
    assert len(set(prints)) == 5
    assert prints == [fingerprint(m.function) for m in metrics]


def test_long_names_stay_inside_the_figures(tmp_path):
    """Names of weights can be long; a title that is cut off leaves ink at the edge."""
    long = "mae:alpha=1:" + "x" * 60
    metrics = [NamedMetric(f"{name} ({long})", None, False, mean_error) for name in "abc"]
    values = {metric.label: np.arange(12.0) for metric in metrics}
    scores, kinds = np.linspace(5, 1, 12), ["noise"] * 6 + ["blur"] * 6
    report = compare(metrics, values, scores, list("rs") * 6, kinds, 0, 0)
    scatter_figure(tmp_path / "s.png", metrics, values, scores, kinds, report, "MOS")
    bar_figure(tmp_path / "b.png", metrics, report)
    for name in ("s.png", "b.png"):
        image = np.asarray(Image.open(tmp_path / name).convert("L"))
        assert image[:, [0, 1, -2, -1]].min() == 255, name


# ------------------------------------------------------------------ values


def pairs(**changes):
    settings = {"distortions": ["gaussian_blur"], "levels": (1, 3), "size": 48, "seed": 1}
    return DistortedPairs("skimage:chelsea,coffee", **(settings | changes))


def mean_error(x, y):
    return (x - y).abs().mean((1, 2, 3))


def test_an_interrupted_measurement_goes_on_where_it_was_left(tmp_path):
    first = PairValues(pairs(), {"mae": mean_error}, tmp_path)

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first.measure(stop)
    again = PairValues(pairs(), {"mae": mean_error}, tmp_path)
    assert again.num_missing == 3
    again.measure()
    whole = PairValues(pairs(), {"mae": mean_error})
    whole.measure()
    np.testing.assert_array_equal(again["mae"], whole["mae"])


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({}, 0),
        ({"levels": (1, 3, 5)}, 2),
        ({"seed": 2}, 4),
        ({"size": 40}, 4),
        ({"rated": True}, 4),
    ],
)
def test_only_what_changed_is_measured_again(changes, missing, tmp_path):
    PairValues(pairs(), {"mae": mean_error}, tmp_path).measure()
    assert PairValues(pairs(**changes), {"mae": mean_error}, tmp_path).num_missing == missing


def test_another_metric_of_the_same_name_is_measured_again(tmp_path):
    PairValues(pairs(), {"mae": mean_error}, tmp_path).measure()
    other = PairValues(pairs(), {"mae": lambda x, y: 2 * mean_error(x, y)}, tmp_path)
    assert other.num_missing == 4


def test_other_strengths_are_measured_again(tmp_path, monkeypatch):
    from dataclasses import replace

    from restoration.opinion import distorted

    PairValues(pairs(), {"mae": mean_error}, tmp_path).measure()
    changed = replace(DISTORTIONS["gaussian_blur"], strengths=(0.5, 0.8, 1.5, 2.2, 4.0))
    monkeypatch.setitem(DISTORTIONS, "gaussian_blur", changed)
    distorted.probe_digest.cache_clear()
    assert PairValues(pairs(), {"mae": mean_error}, tmp_path).num_missing == 2  # level 3 of both
    distorted.probe_digest.cache_clear()


def test_metrics_on_one_backbone_share_its_features():
    """And the features of a reference serve all its versions: here 2 references of 2 versions."""
    plain, enhanced = build_named(["vgg", "e-vgg"])
    functions = {"vgg": plain.function, "e-vgg": enhanced.function}
    values = PairValues(pairs(), functions)
    images = []
    body = plain.function.loss.backbone.body
    body.register_forward_hook(lambda _, given, out: images.append(len(given[0])))
    values.measure()
    assert sum(images) == 2 + 4
    for name in functions:
        alone = PairValues(pairs(), {name: build_named([name])[0].function})
        alone.measure()
        np.testing.assert_allclose(values[name], alone[name], rtol=1e-6)


def test_a_value_that_is_not_finite_names_metric_and_pair():
    values = PairValues(pairs(), {"bad": lambda x, y: mean_error(x, y) * float("inf")})
    with pytest.raises(ValueError, match="bad on chelsea:gaussian_blur:1: expected a finite"):
        values.measure()


def test_an_image_that_a_metric_refuses_names_metric_and_pair():
    """Also where the backbone refuses it, before the metric sees its features."""

    def refuse(x, y):
        if x.shape[-1] == 48:  # not on the probe that tells whether a metric has changed
            raise ValueError("too dark")
        return mean_error(x, y)

    with pytest.raises(ValueError, match="^chelsea:gaussian_blur:1: bad: too dark$"):
        PairValues(pairs(), {"mae": mean_error, "bad": refuse}).measure()
    vgg = build_named(["vgg"])[0].function
    tiny = PairValues(pairs(size=3), {"mae": mean_error, "vgg": vgg})
    with pytest.raises(ValueError, match="^chelsea:gaussian_blur:1: vgg: "):
        tiny.measure()


def test_pairs_are_the_functions_of_their_names():
    data = pairs(levels=(2,), by_family=True, distortions=["jpeg", "pink_noise"])
    photograph = open_source("skimage:chelsea,coffee").read(1)
    top, left = (photograph.shape[0] - 48) // 2, (photograph.shape[1] - 48) // 2
    cut = np.ascontiguousarray(photograph[top : top + 48, left : left + 48])
    assert data.distorted[2:] == ("coffee:jpeg:2", "coffee:pink_noise:2")
    assert data.categories[2:] == ("compression", "noise")
    np.testing.assert_array_equal(data.read_reference(3), cut / np.float32(255))
    wanted = distort(cut, "pink_noise", 2, (1, 1)) / np.float32(255)
    np.testing.assert_array_equal(data.read_distorted(3), wanted)


# ------------------------------------------------------------------ report


def made_up(num_resamples=40):
    rng = np.random.default_rng(0)
    scores = rng.uniform(0, 1, 60)
    values = {"a": 1 - scores + rng.normal(0, 0.3, 60), "e-a": 1 - scores, "flat": np.ones(60)}
    metrics = [
        NamedMetric(name, "a" if name == "e-a" else None, False, mean_error) for name in values
    ]
    references = [f"r{i // 10}" for i in range(60)]
    categories = ["x" if i % 2 else "y" for i in range(60)]
    return compare(metrics, values, scores, references, categories, num_resamples)


def test_report_gains_bold_and_undefined():
    report = made_up()
    assert report.categories == ["y", "x", ALL]
    gain = next(g for g in report.gains if g["category"] == ALL)
    ours, theirs = report.row("e-a", ALL)["srocc"], report.row("a", ALL)["srocc"]
    assert gain["srocc"] == pytest.approx(ours - theirs) and gain["srocc_low"] > 0
    lines = table(report, "srocc")
    assert lines[1] == ["e-a", "**1.000**", "**1.000**", "**1.000**"]
    assert lines[2] == ["flat", "-", "-", "-"]
    assert table(report, "rmse")[1][-1] == "**0.000**" or "**" in table(report, "rmse")[1][-1]
    assert "†" in table(report, "rmse")[2][-1] and "flat on all" in report.notes[-1]
    assert gain_table(report)[0][0] == "e-a - a"


def test_the_same_seed_gives_the_same_intervals():
    assert made_up().rows == made_up().rows


# ------------------------------------------------------------------ verify and distortions


def test_verify_counts_and_checks(opinions, capsys):
    first, *more = of_csv(opinions)
    assert main(["masks", "verify", "--data", first, *more]) == 0
    printed = capsys.readouterr().out
    assert "20 pairs; every image can be read" in printed and "MOS in [0, 100]" in printed
    assert any(line.split("│")[1:3] == ["     10 ", "          2 "]
               for line in printed.splitlines() if "gaussian_blur" in line)  # fmt: skip


def test_verify_names_what_is_unreadable(opinions, tmp_path, capsys):
    for path in opinions.parent.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "0_white_noise_3.png").write_bytes(b"no picture")
    first, *more = of_csv(tmp_path / "list.csv")
    assert main(["masks", "verify", "--data", first, *more]) == 2
    error = capsys.readouterr().err
    assert "1 images cannot be used: 0_white_noise_3.png (unreadable)" in error


def test_contact_sheet_has_the_pixels_of_every_level(photographs):
    picture = photographs[0]
    sheet = contact_sheet(picture, {name: DISTORTIONS[name] for name in ("jpeg", "white_noise")})
    wanted = [distort(picture, "white_noise", level, 0) for level in range(6)]
    row = sheet[-64 - 4 : -4, 190:]
    found = [row[:, i * 68 : i * 68 + 64] for i in range(6)]
    np.testing.assert_array_equal(np.stack(found), np.stack(wanted))


def test_visibility_by_hand(photographs):
    kinds = {"gaussian_blur": DISTORTIONS["gaussian_blur"]}
    found = list(visibility(photographs, {"m": lambda x, y: -mean_error(x, y)}, kinds))
    errors = [
        [np.abs(distort(p, "gaussian_blur", k).astype(float) - p).mean() / 255 for k in range(1, 6)]
        for p in photographs
    ]
    np.testing.assert_allclose(found[0].means["m"], -np.mean(errors, 0), rtol=1e-4)
    assert found[0].monotone["m"] == 1


def test_distortions_command(tmp_path, capsys):
    out = tmp_path / "sheet.png"
    arguments = ["--image", "skimage:chelsea", "--size", "32", "--out", str(out)]
    assert main(["masks", "distortions", *arguments]) == 0
    assert Image.open(out).size == (190 + 6 * 36, 30 + 25 * 36)
    assert main(["masks", "distortions", *arguments, "--denoisers", "gaussian,nlm"]) == 0
    assert Image.open(out).size == (190 + 6 * 36, 30 + 27 * 36)
    assert main(["masks", "distortions", "--image", "skimage:chelsea"]) == 2
    assert "--out FILE.png, or --measure" in capsys.readouterr().err
