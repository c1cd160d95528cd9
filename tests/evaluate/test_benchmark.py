"""A benchmark: tables against per_image.csv, the journal, runs that inherit, mistakes."""

import csv
import json
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
import yaml
from tiny import TINY
from torch import nn

from restoration.archs import build, restore
from restoration.cli import main
from restoration.common.digests import file_digest, weights_digest
from restoration.data import (
    FolderSource,
    GreySource,
    SkimageSource,
    read_image,
    write_png,
)
from restoration.degradations import evaluation_noise, gaussian_noise
from restoration.evaluate import EvaluationSet, Mean, Row, benchmark, candidates, checks, evaluate
from restoration.evaluate.baselines import NLM_STRENGTH, NLM_STRENGTH_GREY, non_local_means
from restoration.evaluate.journal import FileJournal
from restoration.evaluate.layouts import latex, latex_text, markdown_tables
from restoration.evaluate.measure import as_given, evaluate_runs, to_batch
from restoration.evaluate.tables import wide_tables
from restoration.metrics import Column, build_metrics, psnr
from restoration.options.load import load_options, validate
from restoration.options.shipped import shipped_options

CPU = torch.device("cpu")
SIGMAS = [15.0, 50.0]


@pytest.fixture(scope="module")
def folders(pictures):
    return {"first": pictures(3, side=24, seed=1), "second": pictures(2, side=20, seed=2)}


@pytest.fixture
def place(tmp_path, monkeypatch):
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def bench(place, folders):
    """Write an option file of two checkpoints of two sizes, and both baselines."""
    for name, dim, seed in (("a", 4, 1), ("b", 8, 2)):
        torch.manual_seed(seed)
        network = build(**(TINY | {"dim": dim}))
        torch.save({"params": network.state_dict()}, place.parent / f"{name}.pth")
    return {
        "name": "bench",
        "num_gpu": 0,
        "datasets": {
            name: {"dataroot_gt": str(path), "sigma_test": SIGMAS} for name, path in folders.items()
        },
        "network_g": TINY,
        "runs": {
            "net_a": {"pretrain_network_g": str(place.parent / "a.pth")},
            "net b": {"pretrain_network_g": str(place.parent / "b.pth"), "network_g": {"dim": 8}},
        },
        "baselines": ["noisy", "nlm"],
        "val": {"metrics": ["psnr", "ssim", "mae"]},
    }


def write(place, mapping):
    file = place.parent / "bench.yml"
    file.write_text(yaml.safe_dump(mapping, sort_keys=False))
    return str(file)


def per_image(folder):
    with (folder / "per_image.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def results_of(place, mapping, *flags):
    assert main(["test", "-opt", write(place, mapping), *flags]) == 0
    return place / "results" / mapping["name"]


def refused(place, mapping, message, capsys, *flags):
    assert main(["test", "-opt", write(place, mapping), *flags]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert error.count("\n") == 1
    assert not list(place.iterdir()), "nothing half-written"


# ------------------------------------------------------------------ tables


def parse_tables(text):
    """Wide Markdown -> {title: {(run, sigma, heading): (cell, bold)}}."""
    found = {}
    for part in text.split("## ")[1:]:
        lines = [line for line in part.splitlines() if line.startswith("|")]
        grid = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        table = found[part.splitlines()[0]] = {}
        for row in grid[2:]:
            for head, cell in zip(grid[0][1:], row[1:], strict=True):
                sigma, label = head.removeprefix("σ").split(" ", 1)
                table[row[0], float(sigma), label] = (cell.strip("*"), "**" in cell)
    return found


def parse_latex(text):
    """The same of LaTeX, (run, number of the column) -> (cell, bold), a mapping per table."""
    found = []
    for part in text.split("\\begin{tabular}")[1:]:
        body = part.split("\\midrule")[1].split("\\bottomrule")[0]
        cells = {}
        for line in filter(None, map(str.strip, body.splitlines())):
            name, *values = line.removesuffix("\\\\").split(" & ")
            for number, value in enumerate(values):
                bold = re.fullmatch(r"\\textbf\{(.*)\}", value.strip())
                cells[name, number] = (bold[1] if bold else value.strip(), bold is not None)
        found.append(cells)
    return found


def test_every_figure_of_the_tables_from_per_image(place, bench, capsys):
    folder = results_of(place, bench)
    images = per_image(folder)
    names = ["noisy", "nlm", "net_a", "net b"]
    assert len(images) == 4 * 2 * 5
    tables = parse_tables((folder / "table.md").read_text())
    in_latex = parse_latex((folder / "table.tex").read_text())
    titles = ["Average over 2 sets: first (3 images), second (2 images)"]
    titles += ["first, 3 images", "second, 2 images"]
    assert list(tables) == titles
    printed = capsys.readouterr().out

    def mean(run, one, sigma, metric):
        key = (run, one, sigma)
        own = [float(r[metric]) for r in images if (r["run"], r["set"], float(r["sigma"])) == key]
        assert len(own) == {"first": 3, "second": 2}[one]
        return np.mean(own)

    columns = {"PSNR ↑": ("psnr", 2, max), "SSIM ↑": ("ssim", 4, max), "MAE ↓": ("mae", 4, min)}
    for sets, title, tex in zip(
        (["first", "second"], ["first"], ["second"]), titles, in_latex, strict=True
    ):
        table = tables[title]
        heads = list(dict.fromkeys((sigma, head) for _, sigma, head in table))
        assert len(table) == 4 * 2 * 3 == len(tex)
        for number, (sigma, head) in enumerate(heads):
            metric, digits, best = columns[head]
            means = {run: np.mean([mean(run, s, sigma, metric) for s in sets]) for run in names}
            shown = {run: f"{value:.{digits}f}" for run, value in means.items()}
            winner = best(map(float, shown.values()))
            for run in names:
                expected = (shown[run], float(shown[run]) == winner)
                assert table[run, sigma, head] == expected
                assert tex[latex_text(run), number] == expected
                if len(sets) == 2:
                    assert shown[run] in printed
    rows = json.loads((folder / "results.json").read_text())["rows"]
    for row in rows:
        sets = ["first", "second"] if row["set"] == "average" else [row["set"]]
        for metric in ("psnr", "ssim", "mae"):
            expected = np.mean([mean(row["run"], s, row["sigma"], metric) for s in sets])
            assert row[metric] == pytest.approx(expected, rel=1e-12)


def best(table):
    return [[cell.best for cell in line.cells] for line in table.lines]


def test_tables_of_parts():
    columns = {"psnr": Column("PSNR", True, 2), "lpips": Column("LPIPS", False)}

    def mean(run, psnr, lpips=None, sigma=15.0):
        values = {"psnr": psnr} | ({} if lpips is None else {"lpips": lpips})
        return Mean(run, "s", "gaussian", sigma, 1, values)

    def texts(table):
        return [(*line.head, [cell.text for cell in line.cells]) for line in table.lines]

    (table,) = wide_tables([mean("a", 30.001), mean("b", 30.004), mean("c", 29.0)], columns)
    assert table.title == "s, 1 image"
    assert best(table) == [[True, False], [True, False], [False, False]], "printed alike"
    (single,) = wide_tables([mean("a", 30.0)], columns)
    assert best(single) == [[False, False]], "nothing to be better than"
    (partial,) = wide_tables([mean("a", 30.0, 0.2), mean("b", 31.0, 0.1, 25.0)], columns)
    assert texts(partial) == [
        ("a", ["30.00", "0.2000", "-", "-"]),
        ("b", ["-", "-", "31.00", "0.1000"]),
    ]
    text = markdown_tables([table], ["note"])
    assert "| a | **30.00** | - |" in text and text.endswith("\n\n- note\n")
    assert "a\\_b\\%" in latex([], []) + latex_text("a_b%")
    assert latex_text("x^2~") == r"x\textasciicircum{}2\textasciitilde{}"


# ------------------------------------------------------------------ what is measured


def test_runs_equal_single_tests(place, bench, folders):
    """Rows of a benchmark are those of each checkpoint alone, to the last bit."""
    images = per_image(results_of(place, bench))
    for name, run in bench["runs"].items():
        single = {k: v for k, v in bench.items() if k not in ("runs", "baselines")}
        single |= {"name": name, "network_g": TINY | run.get("network_g", {})}
        single["path"] = {"pretrain_network_g": run["pretrain_network_g"]}
        folder = results_of(place, single)
        assert [r for r in per_image(folder) if r["run"] == name] == [
            r for r in images if r["run"] == name
        ]
        assert (folder / "picture.png").is_file()
        noisy = [r for r in per_image(folder) if r["run"] == "noisy"]
        assert noisy == [r for r in images if r["run"] == "noisy"]


def test_each_picture_is_read_once_and_each_noise_made_once(folders, monkeypatch):
    source = FolderSource(folders["first"])
    read, made, measured = [], [], []
    read_float = source.read_float
    monkeypatch.setattr(source, "read_float", lambda i: read.append(i) or read_float(i))
    monkeypatch.setattr(
        "restoration.degradations.gaussian.evaluation_noise",
        lambda image, sigma: made.append(sigma) or evaluation_noise(image, sigma),
    )
    three = {name: as_given for name in "abc"}
    metrics = {"count": lambda x, y: measured.append(1) or torch.zeros(1)}
    rows = evaluate_runs(
        three, {"s": EvaluationSet(source, gaussian_noise(15.0, 50.0))}, metrics, CPU
    )
    assert (read, made, len(measured)) == ([0, 1, 2], [15.0, 50.0] * 3, 18)
    assert [row.run for row in rows[:6]] == list("abcabc")


def test_nlm_by_hand(folders):
    clean = FolderSource(folders["first"]).read_float(0)
    noisy = evaluation_noise(clean, 25.0)
    eight = (np.clip(noisy, 0, 1) * 255).round().astype(np.uint8)
    h = NLM_STRENGTH * 25
    found = cv2.fastNlMeansDenoisingColored(
        cv2.cvtColor(eight, cv2.COLOR_RGB2BGR), None, h, h, 7, 21
    )
    expected = cv2.cvtColor(found, cv2.COLOR_BGR2RGB)
    restored = non_local_means(to_batch(noisy, CPU), 25.0)
    np.testing.assert_array_equal((restored[0] * 255).round().byte().permute(1, 2, 0), expected)
    grey = to_batch(noisy[:, :, :1], CPU)
    single = cv2.fastNlMeansDenoising(eight[:, :, 0], None, NLM_STRENGTH_GREY * 25, 7, 21)
    np.testing.assert_array_equal((non_local_means(grey, 25.0)[0, 0] * 255).round().byte(), single)
    assert non_local_means(to_batch(clean, CPU), 0.0).shape == (1, 3, 24, 24)
    with pytest.raises(ValueError, match="expected one image"):
        non_local_means(torch.zeros(2, 3, 8, 8), 25.0)


@pytest.mark.parametrize(("sigma", "least"), [(15.0, 8), (50.0, 12)])
def test_nlm_is_set_for_grey_images_too(sigma, least):
    """3.5 and 9.7 dB with the strength that suits colour, on a flat part of a photograph."""
    image = SkimageSource(["camera@192"])
    clean = to_batch(GreySource(image).read_float(0), CPU)
    noisy = to_batch(evaluation_noise(GreySource(image).read_float(0), sigma), CPU)
    gain = psnr(non_local_means(noisy, sigma), clean) - psnr(noisy, clean)
    assert gain > least


def test_grey_sets_are_named_in_the_protocol(place, bench):
    bench |= {"runs": {}, "network_g": None, "baselines": ["noisy", "nlm"]}
    bench["datasets"]["second"]["in_ch"] = 1
    said = (results_of(place, bench) / "table.md").read_text()
    assert "second: grey, the luma of the RGB images" in said and "first: grey" not in said
    assert "averaged" not in said  # no network takes part


def test_grey_files_say_that_they_are_measured_as_three_channels(place, bench, pictures):
    """Set12 in a table of colour networks: its noise differs from channel to channel."""
    grey = pictures(2, side=16, seed=1)
    for path in grey.iterdir():
        write_png(path, read_image(path)[:, :, 0])
    bench["datasets"]["third"] = {"dataroot_gt": str(grey)}
    bench["datasets"]["second"]["in_ch"] = 1
    said = (results_of(place, bench) / "table.md").read_text()
    assert "third: grey files, measured as three equal channels" in said
    assert "first: grey" not in said
    assert "one channel, repeated for a colour network, whose answers are averaged" in said


def test_results_explain_themselves(place, bench):
    folder = results_of(place, bench)
    results = json.loads((folder / "results.json").read_text())
    assert "clipped and rounded to 8 bits" in results["protocol"]
    assert results["protocol"] in (folder / "table.md").read_text()
    assert results["runs"]["nlm"]["opencv"] == cv2.__version__
    weights = place.parent / "b.pth"
    assert results["runs"]["net b"]["sha256"] == file_digest(weights)
    assert results["runs"]["net b"]["network"]["dim"] == 8
    assert results["sets"]["first"]["images"] == 3
    assert len(results["sets"]["first"]["digest"]) == 16
    assert {"commit", "versions", "device", "threads", "seed"} <= set(results)
    assert set(results["metric_weights"]) == {"psnr", "ssim", "mae"}
    assert not (folder / "picture.png").exists()


def test_images_of_every_run(place, bench):
    bench["val"]["save_img"] = True
    bench["runs"] = {"net_a": bench["runs"]["net_a"]}
    folder = results_of(place, bench)
    written = {p.relative_to(folder).as_posix() for p in folder.rglob("*.png")}
    assert len(written) == 3 * 5 * 2
    assert "visualization/net_a/second/1_sigma50.png" in written
    noisy = read_image(folder / "visualization/noisy/first/0_sigma50.png")
    assert noisy.min() == 0 and noisy.max() == 255  # clipped to be written, not to be measured


def test_tile_report(place, bench, folders):
    bench["val"] |= {"tile": 16, "tile_overlap": 8, "tile_report": True}
    bench["baselines"] = ["noisy"]
    folder = results_of(place, bench)
    results = json.loads((folder / "results.json").read_text())
    assert [(one["run"], one["sigma"]) for one in results["tiles"]] == [
        (run, sigma) for sigma in SIGMAS for run in ("net_a", "net b")
    ]
    first = results["tiles"][0]
    torch.manual_seed(1)
    network = build(**TINY)
    noisy = to_batch(evaluation_noise(FolderSource(folders["first"]).read_float(0), 15.0), CPU)
    difference = restore(network, noisy, tile=16, overlap=8) - restore(network, noisy)
    assert first["max_abs"] == pytest.approx(255 * float(difference.abs().max()), rel=1e-4)
    assert first["max_abs"] > 0
    assert "tiles of 16 pixels" in (folder / "table.md").read_text()
    assert "overlap 8" in results["protocol"]
    bench["val"]["tile"] = 64
    assert "tiles change nothing" in (results_of(place, bench) / "table.md").read_text()


# ------------------------------------------------------------------ the journal


def test_interrupted_equals_uninterrupted(place, bench, monkeypatch, capsys):
    whole = results_of(place, bench | {"name": "whole"})
    original, calls = candidates.BASELINES["nlm"], []

    def stops(noisy, sigma):
        calls.append(sigma)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return original(noisy, sigma)

    monkeypatch.setitem(candidates.BASELINES, "nlm", stops)
    assert main(["test", "-opt", write(place, bench)]) == 130
    assert "continue with --auto_resume" in capsys.readouterr().out
    folder = place / "results/bench"
    lines = (folder / "journal.jsonl").read_text().splitlines()
    assert len(lines) == 2 * 4, "two whole pictures"
    with (folder / "journal.jsonl").open("a") as file:
        file.write('{"run": "nlm", "se')  # killed while writing
    calls.clear()
    monkeypatch.setitem(candidates.BASELINES, "nlm", lambda n, s: calls.append(s) or original(n, s))
    results_of(place, bench, "--auto_resume")
    assert len(calls) == 3 * 2
    assert "known from before: 8 of 20" in capsys.readouterr().out
    assert not list(place.glob("results/bench_archived*"))
    assert (folder / "per_image.csv").read_bytes() == (whole / "per_image.csv").read_bytes()
    assert (folder / "table.md").read_bytes() == (whole / "table.md").read_bytes()
    assert (folder / "table.tex").read_bytes() == (whole / "table.tex").read_bytes()
    calls.clear()
    results_of(place, bench, "--auto_resume")
    assert not calls, "all of it is known"
    results_of(place, bench)
    assert len(calls) == 5 * 2
    assert len(list(place.glob("results/bench_archived*"))) == 1


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (lambda b, p: None, set()),
        (lambda b, p: b["runs"].update(more=b["runs"]["net_a"]), {"more"}),
        (lambda b, p: b["runs"]["net b"].update(network_g={"dim": 8, "bias": False}), {"net b"}),
        (lambda b, p: b["val"].update(tile=16, tile_overlap=8), {"noisy", "nlm", "net_a", "net b"}),
        (lambda b, p: b["val"]["metrics"].append("mse"), {"noisy", "nlm", "net_a", "net b"}),
        (
            lambda b, p: b["val"]["metrics"][-1].update(eps=0.5),
            {"noisy", "nlm", "net_a", "net b"},
        ),
        (lambda b, p: b["val"].update(save_img=True), {"noisy", "nlm", "net_a", "net b"}),
        (
            lambda b, p: b["datasets"]["first"].update(sigma_test=[15.0]),
            {"noisy", "nlm", "net_a", "net b"},
        ),
    ],
)
def test_what_the_journal_lets_pass(place, bench, monkeypatch, change, again):
    seen = []
    measure = benchmark.evaluate_runs

    def spied(*arguments, **options):
        options["on_result"] = lambda run, *rest: seen.append(run)
        return measure(*arguments, **options)

    monkeypatch.setattr(benchmark, "evaluate_runs", spied)
    bench["datasets"] = {"first": bench["datasets"]["first"] | {"max_images": 1}}
    bench["val"]["metrics"].append({"type": "Charbonnier", "eps": 0.001})
    results_of(place, bench)
    seen.clear()
    change(bench, place)
    results_of(place, bench, "--auto_resume")
    assert set(seen) == again


def test_other_weights_and_other_pictures(place, bench, folders, tmp_path):
    bench["baselines"] = ["noisy"]
    mine = tmp_path / "mine"
    for index in range(2):
        write_png(mine / f"{index}.png", FolderSource(folders["first"]).read(index))
    bench["datasets"] = {"mine": {"dataroot_gt": str(mine), "sigma_test": [25.0]}}

    def computed():
        folder = results_of(place, bench, "--auto_resume")
        return len((folder / "journal.jsonl").read_text().splitlines())

    assert computed() == 6
    torch.manual_seed(5)
    torch.save({"params": build(**TINY).state_dict()}, place.parent / "a.pth")
    assert computed() == 6 + 2
    image = FolderSource(mine).read(1).copy()
    image[0, 0, 0] ^= 1
    write_png(mine / "1.png", image)
    assert computed() == 8 + 3


def test_journal_of_other_ranks(tmp_path):
    row = Row("a", "s", "0.png", "gaussian", 15.0, {"psnr": float("inf")})
    with FileJournal(tmp_path, lambda *unit: "k") as journal:
        journal.add("a", "s", 0, [row])
    (tmp_path / "journal.jsonl").rename(tmp_path / "journal.3.jsonl")
    again = FileJournal(tmp_path, lambda *unit: "k", resume=True)
    assert again.find("a", "s", 0) == [row]
    assert again.find("a", "s", 1) is None
    assert FileJournal(tmp_path, lambda *u: "other", resume=True).find("a", "s", 0) is None
    assert FileJournal(tmp_path, lambda *u: "k", resume=True, images=True).find("a", "s", 0) is None
    assert FileJournal(tmp_path, lambda *unit: "k").find("a", "s", 0) is None
    assert not list(tmp_path.iterdir())


def test_two_ranks_equal_one(place, bench):
    whole = results_of(place, bench)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "restoration.test", "-opt", write(place, bench)]
    (place / "two").mkdir()
    done = subprocess.run(  # noqa: S603
        command, cwd=place / "two", capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    folder = place / "two/results/bench"
    for name in ("per_image.csv", "table.md", "table.tex"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
    assert (folder / "journal.1.jsonl").is_file()


# ------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"runs": {"noisy": {"pretrain_network_g": "x"}}}, "name of a run.*'noisy'"),
        ({"runs": {"a/b": {"pretrain_network_g": "x"}}}, "option `runs`: expected a name .*'a/b'"),
        (
            {"runs": {"a": {"pretrain": "x"}}},
            "`runs.a.pretrain`; did you mean `pretrain_network_g`",
        ),
        ({"runs": {"a": {}}}, "`runs.a.pretrain_network_g` is missing"),
        ({"runs": {"a": {"pretrain_network_g": "gone.pth"}}}, "a: .*gone.pth"),
        ({"path": {"pretrain_network_g": "x.pth"}}, "under `runs` or as `path.pretrain_network_g`"),
        ({"baselines": ["bm3d"]}, "noisy.*nlm"),
        ({"val": {"tile_report": True}}, "tile_report needs tile"),
        ({"val": {"metrics": ["psnr", {"type": "psnr", "crop_border": 4}]}}, "two named 'psnr'"),
        ({"val": {"metrics": ["ms_ssim"]}}, "first/0.png: expected at least 176x176 pixels"),
        ({"val": {"metrics": [{"type": "e_mae", "weights": "gone.pth"}]}}, "gone.pth"),
    ],
)
def test_refused_before_the_work(place, bench, capsys, change, message):
    refused(place, bench | change, message, capsys)


def test_refused_checkpoint_of_another_network(place, bench, capsys):
    del bench["runs"]["net b"]["network_g"]
    refused(place, bench, r"net b: expected the \d+ tensors of the network", capsys)


def test_refused_nothing_to_test(place, bench, capsys):
    del bench["runs"], bench["network_g"]
    refused(place, bench | {"baselines": []}, "nothing to test", capsys)


def test_refused_pictures(place, bench, capsys, tmp_path, folders):
    folder = tmp_path / "CBSD68"
    for index in range(2):
        write_png(folder / f"{index}.png", FolderSource(folders["first"]).read(index))
    bench["datasets"] = {"mine": {"dataroot_gt": str(folder), "sigma_test": [25.0]}}
    good = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(good[: len(good) // 2])  # the header is whole
    refused(place, bench, "mine: 1 images cannot be read: 1.png", capsys)
    (folder / "1.png").write_bytes(good)
    bench["datasets"] = {"CBSD68": bench["datasets"]["mine"]}
    refused(place, bench, "CBSD68: expected its 68 images, got 2, without 3096.png, ", capsys)
    bench["datasets"]["CBSD68"]["max_images"] = 1
    refused(place, bench, "CBSD68: expected its 68 images, got 2; a set of your own", capsys)


def test_pictures_that_are_not_the_recorded_ones(folders):
    class Named:
        names = [f"{n}.png" for n in range(68)]

        def __len__(self):
            return 68

    one = EvaluationSet(Named(), gaussian_noise(15.0), max_images=2)
    digests = {"0.png": "0", "1.png": "1"}
    assert checks.check_set("CBSD68", one, digests) == [
        "CBSD68: not the recorded images: 0.png, 1.png"
    ]
    assert checks.check_set("own", one, digests) == []


# ------------------------------------------------------------------ parts


def test_weights_digest_sees_every_tensor():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    before = weights_digest(network)
    assert before == weights_digest(network)
    for tensor in (network[0].bias, network[1].running_var, network[1].num_batches_tracked):
        tensor.data = tensor.data + 1
        after = weights_digest(network)
        assert after != before
        before = after


def test_runs_inherit():
    options = validate(
        {
            "name": "x",
            "network_g": {"type": "Restormer", "dim": 8},
            "path": {"param_key_g": "params_ema", "strict_load_g": False},
            "runs": {
                "same": {"pretrain_network_g": "a.pth"},
                "wider": {"pretrain_network_g": "b.pth", "network_g": {"dim": 16}},
                "other": {
                    "pretrain_network_g": "c.pth",
                    "network_g": {"type": "restormer_s"},
                    "param_key_g": "params",
                    "strict_load_g": True,
                },
            },
        }
    )
    found = options.checkpoints("x")
    assert [run.network_g for run in found.values()] == [
        {"type": "Restormer", "dim": 8},
        {"type": "Restormer", "dim": 16},
        {"type": "restormer_s"},
    ]
    assert [run.param_key_g for run in found.values()] == ["params_ema", "params_ema", "params"]
    assert [run.strict_load_g for run in found.values()] == [False, False, True]


def test_a_test_takes_the_weights_that_validations_used(place, folders):
    """Averaged weights where a training averaged; what was asked for instead is said."""
    plain, average = build(**TINY), build(**TINY)
    with torch.no_grad():
        average.output.weight.mul_(-1)
    states = {"params": plain.state_dict(), "params_ema": average.state_dict()}
    torch.save(states, place / "both.pth")
    torch.save({"params": plain.state_dict()}, place / "one.pth")

    def made(file, **path):
        options = {
            "name": "x",
            "num_gpu": 0,
            "datasets": {"val": {"dataroot_gt": str(folders["first"]), "sigma_test": 25}},
            "network_g": TINY,
            "path": {"pretrain_network_g": str(place / file), **path},
            "val": {"metrics": ["psnr"]},
        }
        found = benchmark.prepare(validate(options), CPU, "x")
        return found.runs["x"], found.notes

    for run, notes, network, key, said in [
        (*made("both.pth"), average, "params_ema", "which validations use too"),
        (*made("both.pth", param_key_g="params"), plain, "params", "are `params_ema`"),
        (*made("one.pth"), plain, "params", None),
    ]:
        assert run.identity["key"] == key
        assert torch.equal(run.network.output.weight, network.output.weight)
        assert notes == [] if said is None else said in notes[0] and notes[0].startswith("x: ")


def test_evaluate_is_one_run(folders):
    class Shrinks(nn.Module):
        def forward(self, x):
            return 0.5 * x + 0.25

    sets = {"s": EvaluationSet(FolderSource(folders["first"]), gaussian_noise(15.0))}
    metrics = build_metrics(["psnr"])
    steps, progress = [], []
    rows = evaluate(Shrinks(), sets, metrics, CPU, on_progress=lambda: steps.append(1))
    assert [row.run for row in rows] == ["noisy", "restored"] * 3
    assert len(steps) == 3
    evaluate_runs(
        {"noisy": as_given}, sets, metrics, CPU, on_progress=lambda *a: progress.append(a)
    )
    assert progress[-1] == pytest.approx((3 * 24 * 24 / 1e6,) * 2 + ("s/2.png", "3/3 images")) or (
        progress[-1][2:] == ("s/2.png", "3/3 images")
    )


@pytest.mark.parametrize("name", ["gaussian_color_five", "baselines", "gaussian_color"])
def test_shipped_benchmarks(name):
    options = load_options(shipped_options() / f"test/{name}.yml")
    for key, one in options.datasets.test.items():
        assert one.dataroot_gt == f"datasets/{key}"
        assert one.sigma_test == [15, 25, 50, 60]
    if name != "gaussian_color":
        assert list(options.datasets.test) == ["Set12", "CBSD68", "Kodak24", "McMaster", "Urban100"]
        assert all(one.in_ch == 3 for one in options.datasets.test.values())


@pytest.mark.skipif(
    not (shipped_options().parent / "datasets/McMaster").is_dir(), reason="datasets/ is not here"
)
def test_noisy_psnr_of_the_publication_on_a_real_set(monkeypatch, tmp_path):
    """facts: 24.61 / 20.17 / 14.15 / 12.57 dB, whatever the pictures."""
    monkeypatch.chdir(shipped_options().parent)
    options = load_options(
        shipped_options() / "test/baselines.yml",
        ["datasets:McMaster:max_images=2", "val:metrics=[psnr]", "baselines=[noisy]", "num_gpu=0"],
    )
    options.datasets.__pydantic_extra__ = {"McMaster": options.datasets.test["McMaster"]}
    made = benchmark.prepare(options, CPU, "x")
    assert made.notes == []
    report = benchmark.run_benchmark(made, tmp_path)
    found = [mean.values["psnr"] for mean in report.means if mean.set == "McMaster"]
    np.testing.assert_allclose(found, [24.61, 20.17, 14.15, 12.57], atol=0.05)
