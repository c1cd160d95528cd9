import csv
import json
import math

import cv2
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from skimage.metrics import peak_signal_noise_ratio
from tiny import TINY
from torch import nn

from losses import MaskBank, weights
from restoration.archs import build_network
from restoration.archs.probe import check_network
from restoration.cli import main
from restoration.common.folders import write_json
from restoration.data import FolderSource, read_float, read_image
from restoration.degradations import gaussian_noise
from restoration.degradations.conditions import Condition
from restoration.evaluate import EvaluationSet, Mean, Row, evaluate, summarize
from restoration.evaluate import run as workflow
from restoration.evaluate.layouts import markdown
from restoration.evaluate.measure import denoiser_of
from restoration.evaluate.picture import (
    denoising_figure,
    draw_picture,
    to_small_image,
)
from restoration.evaluate.rows import plain_means
from restoration.evaluate.sets import open_sets
from restoration.evaluate.tables import long_table
from restoration.metrics import Column, build_metrics
from restoration.options.load import validate

CPU = torch.device("cpu")


class Shrinks(nn.Module):
    """A "denoiser" whose output is easy to compute by hand."""

    def forward(self, x):
        return 0.5 * x + 0.25


@pytest.fixture(scope="module")
def folders(pictures):
    return {"first": pictures(3, side=24, seed=1), "second": pictures(2, side=20, seed=2)}


@pytest.fixture
def random_mask(tmp_path, monkeypatch):
    torch.manual_seed(0)
    save_file(MaskBank((3,)).state_dict(), tmp_path / "pixel_mask_e_mae.safetensors")
    monkeypatch.setattr(weights.manifest, "PRETRAINED", tmp_path)


def open_folders(folders, sigmas=(15.0, 50.0)):
    return {
        name: EvaluationSet(FolderSource(path), gaussian_noise(*sigmas))
        for name, path in folders.items()
    }


def by_hand(image, sigma):
    """Noisy and restored picture by the protocol, in NumPy."""
    np.random.seed(0)
    noise = np.random.normal(0, sigma / 255, image.shape)
    noisy = (image + noise).astype(np.float32)
    return noisy, np.rint(np.clip(0.5 * noisy + 0.25, 0, 1) * 255) / 255


def test_every_value_by_hand(folders):
    metrics = build_metrics(["psnr", "ssim", "mae"])
    rows = evaluate(Shrinks(), open_folders(folders), metrics, CPU, run="mine")
    assert len(rows) == 2 * 2 * 5
    for row in rows:
        assert (row.degradation, row.seed, list(row.values)) == (
            *("gaussian", None),
            ["psnr", "ssim", "mae"],
        )
        clean = read_float(folders[row.set] / row.image)
        noisy, restored = by_hand(clean, row.level)
        found = {"noisy": noisy, "mine": restored}[row.run]
        error = found.astype(np.float64) - clean
        assert row.values["psnr"] == pytest.approx(-10 * np.log10((error**2).mean()), abs=1e-4)
        assert row.values["mae"] == pytest.approx(np.abs(error).mean(), abs=1e-6)


def test_noisy_input_is_neither_clipped_nor_rounded(folders):
    seen = []
    evaluate(
        Shrinks(),
        open_folders(folders, (50.0,)),
        {},
        CPU,
        on_image=lambda *arguments: seen.append(arguments),
    )
    name, image, condition, noisy, restored, clean = seen[0]
    assert (name, image, condition) == ("first", "0.png", Condition("gaussian", 50.0))
    assert float(noisy.max()) > 1
    assert float((noisy * 255 - (noisy * 255).round()).abs().max()) > 0.4
    assert torch.equal((restored * 255).round() / 255, restored)
    assert noisy.shape == restored.shape == clean.shape == (1, 3, 24, 24)


def test_noisy_psnr_of_the_publication():
    flat = np.full((256, 256, 3), 0.5, np.float32)

    class One:
        names = ["flat"]

        def __len__(self):
            return 1

        def read_float(self, index):
            return flat

    one = {"flat": EvaluationSet(One(), gaussian_noise(15.0, 25.0, 50.0, 60.0))}
    rows = evaluate(Shrinks(), one, build_metrics(["psnr"]), CPU)
    found = [row.values["psnr"] for row in rows if row.run == "noisy"]
    np.testing.assert_allclose(found, [24.61, 20.17, 14.15, 12.57], atol=0.05)
    noisy, _ = by_hand(flat, 25)
    reference = peak_signal_noise_ratio(flat, noisy, data_range=1)
    assert found[1] == pytest.approx(reference, abs=1e-4)


def test_options_of_evaluate(folders):
    calls = []
    sets = open_folders(folders, (15.0,))
    sets["first"] = EvaluationSet(sets["first"].source, gaussian_noise(15.0), max_images=2)
    assert [len(one) for one in sets.values()] == [2, 2]
    rows = evaluate(
        Shrinks(),
        sets,
        build_metrics(["psnr"]),
        CPU,
        with_noisy=False,
        tile=16,
        overlap=8,
        on_progress=lambda: calls.append(1),
    )
    assert {row.run for row in rows} == {"restored"}
    assert len(rows) == len(calls) == 4
    whole = evaluate(Shrinks(), sets, build_metrics(["psnr"]), CPU, with_noisy=False)
    for tiled, row in zip(rows, whole, strict=True):  # pointwise, so tiles change nothing
        assert tiled.values["psnr"] == pytest.approx(row.values["psnr"], abs=0.02)


def test_network_keeps_its_mode(folders):
    network = nn.Sequential(Shrinks(), nn.Dropout(0.9))
    a = evaluate(network, open_folders(folders), build_metrics(["psnr"]), CPU)
    b = evaluate(network, open_folders(folders), build_metrics(["psnr"]), CPU)
    assert a == b
    assert network.training


# ------------------------------------------------------------------ averages


def row(psnr, name="a", sigma=15.0, run="mine"):
    return Row(run, name, "x", "gaussian", sigma, {"psnr": psnr})


PSNR = {"psnr": Column("PSNR", True, 2, "dB")}


def test_average_over_sets_gives_each_set_one_vote():
    rows = [row(10.0), row(20.0), row(30.0), row(60.0, "b")]
    assert summarize(rows) == [
        Mean("mine", "a", "gaussian", 15.0, 3, {"psnr": 20.0}),
        Mean("mine", "b", "gaussian", 15.0, 1, {"psnr": 60.0}),
        Mean("mine", "average", "gaussian", 15.0, 4, {"psnr": 40.0}),
    ]


def test_infinite_values_are_infinite_in_tables_and_null_in_files(tmp_path):
    rows = [row(math.inf), row(20.0), row(30.0, "b")]
    means = summarize(rows)
    assert [one.values["psnr"] for one in means] == [math.inf, 30.0, math.inf]
    assert [line.cells[0].text for line in long_table(means, PSNR).lines] == ["inf", "30.00", "inf"]
    write_json(tmp_path / "means.json", plain_means(means))
    found = json.loads((tmp_path / "means.json").read_text())
    assert [one["psnr"] for one in found] == [None, 30.0, None]


def test_table_order():
    rows = [
        row(1.0, name, sigma, run)
        for run in ("mine", "noisy")
        for sigma in (50.0, 15.0)
        for name in ("b", "a")
    ]
    heads = [line.head[:3] for line in long_table(summarize(rows), PSNR).lines]
    expected = [
        (name, sigma, run)
        for name in ("b", "a", "average")
        for sigma in ("15", "50")
        for run in ("noisy", "mine")
    ]
    assert heads == expected
    single = long_table(summarize([row(1.0)]), PSNR)
    assert [line.head[0] for line in single.lines] == ["a"], "one set needs no average"


def test_format():
    assert PSNR["psnr"].text(31.416) == "31.42"
    assert Column("SSIM", True).text(0.98765) == "0.9877"
    assert Column("LPIPS", False).text(None) == "-"
    assert markdown(["a", "b"], [["1", "2"]], ["note"]) == (
        "| a | b |\n|---|---|\n| 1 | 2 |\n\n- note\n"
    )


# ------------------------------------------------------------------ a whole test


@pytest.fixture
def whole(folders, tmp_path, random_mask, capsys):
    """`restoration test` on two sets with one subfolder; returns (result folder, run it again)."""

    def run(**val):
        torch.manual_seed(1)
        network = build_network(TINY)
        torch.save({"params": network.state_dict()}, tmp_path / "net.pth")
        options = {
            "name": "tested",
            "num_gpu": 0,
            "datasets": {
                name: {"dataroot_gt": str(path), "sigma_test": [15, 50]}
                for name, path in folders.items()
            },
            "network_g": TINY,
            "path": {
                "pretrain_network_g": str(tmp_path / "net.pth"),
                "results_root": str(tmp_path / "results"),
            },
            "val": {"metrics": ["psnr", "ssim"], **val},
        }
        file = tmp_path / "test.yml"
        file.write_text(yaml.safe_dump(options))
        code = main(["test", "-opt", str(file)])
        return code, tmp_path / "results/tested", capsys.readouterr()

    return run


def test_every_number_can_be_computed_again(whole):
    code, folder, printed = whole()
    assert code == 0
    with (folder / "per_image.csv").open(newline="") as file:
        images = list(csv.DictReader(file))
    assert len(images) == 2 * 2 * 5
    results = json.loads((folder / "results.json").read_text())
    table = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (folder / "table.md").read_text().splitlines()
        if line.startswith("|")
    ]
    assert table[0] == ["set", "sigma", "run", "n", "PSNR ↑", "SSIM ↑"]
    cells = {tuple(line[:3]): line[3:] for line in table[2:]}
    assert len(results["rows"]) == len(cells) == 2 * 2 * 3

    def mean(run, name, sigma, metric):
        own = [
            float(one[metric])
            for one in images
            if (one["run"], one["set"], float(one["sigma"])) == (run, name, sigma)
        ]
        return np.mean(own)

    for found in results["rows"]:
        assert set(found) == {"run", "set", "sigma", "n", "psnr", "ssim"}, "what was asked for"
        names = ["first", "second"] if found["set"] == "average" else [found["set"]]
        counts = {"first": 3, "second": 2}
        assert found["n"] == sum(counts[name] for name in names)
        line = cells[found["set"], f"{found['sigma']:g}", found["run"]]
        assert line[0] == str(found["n"])
        for column, (metric, digits) in enumerate((("psnr", 2), ("ssim", 4)), start=1):
            expected = np.mean([mean(found["run"], n, found["sigma"], metric) for n in names])
            assert found[metric] == pytest.approx(expected, rel=1e-12)
            assert line[column] == f"{expected:.{digits}f}"
            assert line[column] in printed.out


def test_results_explain_themselves(whole):
    _, folder, _ = whole()
    results = json.loads((folder / "results.json").read_text())
    assert "numpy seed 0 before each image" in results["protocol"]
    assert results["protocol"] in (folder / "table.md").read_text()
    assert {"seed", "commit", "versions", "device", "threads", "notes"} <= set(results)
    assert set(results["metrics"]) == {"psnr", "ssim"}
    assert (folder / "options.yml").is_file()
    assert (folder / "environment.json").is_file()
    assert "written:" in (folder / "test.log").read_text()
    picture = read_image(folder / "picture.png")  # 5 columns and 2 rows of 3 inches, 100 dpi
    assert picture.shape == (660, 1600, 3)
    assert picture.std() > 10


def test_the_picture_shows_what_was_evaluated(whole, monkeypatch):
    """Byte for byte the picture of an image restored once more, without restoring it."""
    _, folder, _ = whole()
    shown = read_image(folder / "picture.png")
    draw = workflow.draw_picture

    def known_only(path, denoise, *rest):
        draw(path, lambda *_: pytest.fail("restored again"), *rest)

    monkeypatch.setattr(workflow, "draw_picture", known_only)
    whole()
    monkeypatch.setattr(workflow, "draw_picture", lambda *a: draw(*a[:-1]))  # nothing is known
    _, folder, _ = whole()
    np.testing.assert_array_equal(read_image(folder / "picture.png"), shown)


def test_existing_results_are_archived(whole):
    _, folder, _ = whole()
    (folder / "mine.txt").write_text("kept")
    code, folder, printed = whole()
    assert code == 0
    (archived,) = folder.parent.glob("tested_archived_*")
    assert (archived / "mine.txt").read_text() == "kept"
    assert archived.name in "".join(printed.out.split())


def test_save_img(whole, folders, tmp_path):
    (folders["second"] / "deep").mkdir(exist_ok=True)
    original = (folders["second"] / "0.png").read_bytes()
    (folders["second"] / "deep/0.png").write_bytes(original)
    try:
        _, folder, _ = whole(save_img=True, tile=16, tile_overlap=8)
    finally:
        (folders["second"] / "deep/0.png").unlink()
    written = {
        p.relative_to(folder / "visualization").as_posix()
        for p in (folder / "visualization").rglob("*.png")
    }
    assert written == {
        *(f"first/{i}_sigma{s}.png" for i in range(3) for s in (15, 50)),
        *(f"second/{i}_sigma{s}.png" for i in (0, 1, "deep/0") for s in (15, 50)),
    }
    stored = read_float(folder / "visualization/first/1_sigma15.png")
    clean = read_float(folders["first"] / "1.png")
    with (folder / "per_image.csv").open(newline="") as file:
        (row,) = [
            one
            for one in csv.DictReader(file)
            if (one["run"], one["image"], one["sigma"], one["set"])
            == ("tested", "1.png", "15.0", "first")
        ]
    psnr = -10 * np.log10(((stored.astype(np.float64) - clean) ** 2).mean())
    assert float(row["psnr"]) == pytest.approx(psnr, abs=1e-4)


def test_columns_of_one_metric_can_be_told_apart(whole):
    near = {"type": "psnr", "name": "psnr_inside", "crop_border": 4}
    _, folder, _ = whole(metrics=["psnr", near, "mae"])
    heads = (folder / "table.md").read_text().splitlines()[0]
    assert heads.endswith("| n | PSNR ↑ | PSNR (psnr_inside) ↑ | MAE ↓ |")


def test_optional_metric_that_cannot_be_had(whole, tmp_path):
    gone = {"type": "lpips", "weights": str(tmp_path / "gone.pth"), "optional": True}
    code, folder, printed = whole(metrics=["psnr", gone])
    assert code == 0
    (note,) = json.loads((folder / "results.json").read_text())["notes"]
    assert note.startswith("LPIPS (alex) is unavailable")
    assert f"- {note}" in (folder / "table.md").read_text()
    assert "LPIPS (alex) is unavailable" in printed.out


def test_required_metric_that_cannot_be_had(whole, tmp_path):
    gone = {"type": "lpips", "weights": str(tmp_path / "gone.pth")}
    code, folder, printed = whole(metrics=["psnr", gone])
    assert code == 2
    assert "LPIPS (alex) is unavailable" in printed.err
    assert not folder.parent.exists()


def test_e_mae_and_other_terms_as_columns(whole):
    code, folder, _ = whole(metrics=["psnr", "e_mae", {"type": "charbonnier", "eps": 0.01}])
    assert code == 0
    rows = json.loads((folder / "results.json").read_text())["rows"]
    assert all(0 < row["e_mae"] < 100 for row in rows)
    assert all(row["charbonnier"] > 0.01 for row in rows)
    assert "ssim" not in rows[0]
    assert "Charbonnier ↓" in (folder / "table.md").read_text()


# ------------------------------------------------------------------ parts


def test_grey_sets(folders, tmp_path, random_mask):
    options = validate(
        {
            "name": "grey",
            "network_g": TINY,
            "datasets": {"grey": {"dataroot_gt": str(folders["first"]), "in_ch": 1}},
        }
    )
    sets = open_sets(options.datasets.test)
    network = build_network(options.network_g)
    check_network(network, 1, 16, CPU, padded=True)  # grey is repeated for three channels
    rows = evaluate(network, sets, build_metrics(["psnr", "e_mae"]), CPU, "mine")
    assert len(rows) == 2 * 4 * 3
    draw_picture(tmp_path / "grey.png", denoiser_of(network), sets["grey"], CPU)
    assert read_image(tmp_path / "grey.png").shape[1] == 1600
    grey = cv2.cvtColor(read_image(folders["first"] / "0.png"), cv2.COLOR_RGB2GRAY)
    np.testing.assert_allclose(sets["grey"].source.read_float(0)[:, :, 0], grey / 255, atol=1e-6)


def test_figure_size_follows_the_images(tmp_path):
    wide = torch.rand(1, 3, 10, 20)
    mask = torch.rand(1, 1, 10, 20)
    denoising_figure(tmp_path / "wide.png", [("sigma 15", wide, wide, wide, mask)] * 3)
    assert read_image(tmp_path / "wide.png").shape == (510, 1600, 3)  # 3 rows of 1.5 inches


@pytest.mark.parametrize("sides", [(2000, 8), (8, 2000)])
@pytest.mark.filterwarnings("error")
def test_figure_of_very_long_images(tmp_path, sides):
    long, mask = torch.rand(1, 3, *sides), torch.rand(1, 1, *sides)
    denoising_figure(tmp_path / "long.png", [("sigma 15", long, long, long, mask)] * 4)
    height, width = read_image(tmp_path / "long.png").shape[:2]
    assert width == 1600 and 300 < height < 5000


def test_large_images_are_drawn_from_their_means():
    image = torch.rand(1, 3, 4, 3001)
    found = to_small_image(image)
    assert found.shape == (2, 1001, 3)
    np.testing.assert_allclose(found[0, 1], image[0, :, :3, 3:6].mean((1, 2)), atol=1e-6)
    np.testing.assert_allclose(found[1, -1], image[0, :, 3, 3000], atol=1e-6)
    small = torch.rand(1, 1, 4, 1500)
    np.testing.assert_array_equal(to_small_image(small), small[0, 0])


def test_open_sets_names_the_unreadable_image(tmp_path, folders):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "bad.png").write_bytes(b"no picture")
    options = validate(
        {
            "name": "x",
            "network_g": TINY,
            "datasets": {"b": {"dataroot_gt": str(broken)}},
        }
    )
    with pytest.raises(ValueError, match="bad.png"):
        open_sets(options.datasets.test)
