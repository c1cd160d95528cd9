"""Trainings and tests on other inputs than Gaussian noise: pairs, chains, a noise map."""

import csv

import numpy as np
import pytest
import torch
import yaml
from tiny import TINY
from torch import nn

from restoration.archs import ARCHS
from restoration.cli import main
from restoration.data import write_png
from restoration.options.load import load_options

CHAIN = [
    {"type": "blur", "sigma": [0, 1], "probability": 0.5},
    {"type": "gaussian", "sigma": [0, 50]},
    {"type": "jpeg", "quality": [30, 95], "probability": 0.7},
]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with three pairs, in which the command line runs."""
    for number in range(3):
        generator = np.random.default_rng(number)
        clean = generator.integers(0, 200, (40, 44, 3), dtype=np.uint8)
        write_png(tmp_path / f"gt/{number}.png", clean)
        write_png(tmp_path / f"lq/{number}_noisy.png", clean + np.uint8(40))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def options(train: dict, val: dict, **more) -> dict:
    return {
        "name": "run",
        "num_gpu": 0,
        "datasets": {
            "train": {"batch_size_per_gpu": 2, "gt_size": 16, "num_worker_per_gpu": 0} | train,
            "val": val,
        },
        "network_g": TINY,
        "train": {"total_iter": 4, "losses": [{"type": "MAE"}], "optim_g": {"lr": 1e-3}},
        "val": {"val_freq": 4, "metrics": ["psnr"]},
        "logger": {"print_freq": 2, "save_checkpoint_freq": 2, "use_tb_logger": False},
    } | more


def run(place, command: str, content: dict, *assignments: str) -> int:
    (place / "run.yml").write_text(yaml.safe_dump(content))
    return main(
        [command, "-opt", "run.yml", *(("--force_yml", *assignments) if assignments else ())]
    )


def table(place) -> list[dict[str, str]]:
    with (place / "results/run/per_image.csv").open(newline="") as file:
        return list(csv.DictReader(file))


FILE = "experiments/run/models/net_g_latest.pth"
CHECKPOINT = f"path:pretrain_network_g={FILE}"
PAIRS = {
    "type": "Dataset_PairedImage",
    "dataroot_gt": "gt",
    "dataroot_lq": "lq",
    "filename_tmpl": "{}_noisy",
}


def test_pairs_train_validate_and_are_tested(place):
    content = options(PAIRS, PAIRS)
    content["train"]["mixing_augs"] = {"mixup": True}
    assert run(place, "train", content) == 0
    assert run(place, "test", content, CHECKPOINT) == 0
    rows = table(place)
    assert {row["degradation"] for row in rows} == {"paired"} and len(rows) == 6
    noisy = [float(row["psnr"]) for row in rows if row["run"] == "noisy"]
    expected = -20 * np.log10(40 / 255)
    np.testing.assert_allclose(noisy, expected, atol=0.01)
    assert "paired" in (place / "results/run/table.md").read_text()


def test_chains_train_the_same_with_any_workers(place):
    val = {"dataroot_gt": "gt", "degradation": {"type": "jpeg", "quality": [20, 60]}}
    trained = []
    for workers in (0, 2):
        train = {"dataroot_gt": "gt", "degradation": CHAIN, "num_worker_per_gpu": workers}
        assert run(place, "train", options(train, val)) == 0
        trained.append(torch.load(FILE, weights_only=True)["params"])
    for name, value in trained[0].items():
        assert torch.equal(value, trained[1][name])
    assert run(place, "test", options(train, val), CHECKPOINT) == 0
    assert {(row["degradation"], row["level"]) for row in table(place)} == {
        ("jpeg quality", "20.0"),
        ("jpeg quality", "60.0"),
    }
    text = (place / "results/run/table.md").read_text()
    assert "jpeg quality 20" in text and "jpeg quality 60" in text


def restored(place) -> dict[tuple[str, str], float]:
    """PSNR of the network by image and noise level."""
    rows = [row for row in table(place) if row["run"] != "noisy"]
    return {(row["image"], row["sigma"]): float(row["psnr"]) for row in rows}


class TellsTheLevel(nn.Module):
    """Subtracts nothing but the fourth channel from the first three."""

    multiple, inp_channels = 1, 4

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, image):
        return image[:, :3] - self.scale * image[:, 3:]


def test_noise_map_in_training_and_test(place, monkeypatch):
    monkeypatch.setitem(ARCHS, "tells", TellsTheLevel)
    told = {"dataroot_gt": "gt", "noise_map": True}
    content = options(told | {"sigma_range": [0, 50]}, told | {"sigma_test": [15, 50]})
    content["network_g"] = {"type": "tells"}
    assert run(place, "train", content) == 0
    torch.save({"params": {"scale": torch.tensor(0.0)}}, FILE)
    assert run(place, "test", content, CHECKPOINT) == 0
    plain = {
        (r["image"], r["sigma"]): float(r["psnr"]) for r in table(place) if r["run"] != "noisy"
    }
    torch.save({"params": {"scale": torch.tensor(1.0)}}, FILE)
    assert run(place, "test", content, CHECKPOINT) == 0
    darker = {
        (r["image"], r["sigma"]): float(r["psnr"]) for r in table(place) if r["run"] != "noisy"
    }
    for (image, sigma), value in plain.items():  # a level of 50 darkens more than one of 15
        assert value - darker[image, sigma] > (0.5 if sigma == "15.0" else 2)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"dataroot_gt": "gt", "dataroot_lq": "lq"}, "dataroot_lq has no effect.*PairedImage"),
        ({"dataroot_gt": "gt", "type": "PairedImage"}, "PairedImage needs dataroot_lq"),
        (PAIRS | {"sigma_range": [0, 50]}, "sigma_range has no effect on pairs"),
        (PAIRS | {"filename_tmpl": "{}"}, r"partner in lq for every image of gt, got none for 3"),
        (
            {"dataroot_gt": "gt", "degradation": CHAIN, "sigma_range": 5},
            "`degradation` or `sigma_r",
        ),
        ({"dataroot_gt": "gt", "degradation": {"type": "jpg", "quality": 5}}, "mean 'jpeg'"),
        ({"dataroot_gt": "gt", "noise_map": True}, "noise_map is a matter of the network"),
        ({"dataroot_gt": "gt", "use_hflip": True, "use_rot": False}, "go together here"),
        ({"dataroot_gt": "gt", "type": "PairdImage"}, "mean 'PairedImage'"),
        ({"dataroot_gt": "gt", "type": "no.module:Set"}, "no module 'no'"),
    ],
)
def test_what_is_refused_before_work_starts(place, capsys, train, message):
    assert run(place, "train", options(train, {"dataroot_gt": "gt"})) == 2
    error = capsys.readouterr().err
    assert pytest.raises(ValueError, match=message) and __import__("re").search(message, error), (
        error
    )
    assert not (place / "experiments").exists()


def test_ones_own_data_set(place):
    """By import path: pairs whose names follow no template."""
    (place / "shots.py").write_text(
        "from restoration.data import PairedSource, open_source\n"
        "def Shots(dataroot, inputs):\n"
        "    return PairedSource(open_source(dataroot), open_source(inputs))\n"
    )
    own = {"type": "shots:Shots", "dataroot_gt": "gt", "arguments": {"inputs": "lq"}}
    assert run(place, "train", options(own, own, imports=["shots.py"])) == 0
    assert run(place, "test", options(own, own, imports=["shots.py"]), CHECKPOINT) == 0
    assert {row["degradation"] for row in table(place)} == {"paired"}
    assert load_options("run.yml").imports == [str(place / "shots.py")]
