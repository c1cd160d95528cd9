"""Two processes of torchrun against one process: training with gloo, and a sharded test."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from tiny import TINY

from losses import MaskBank

PICTURE = """
from pathlib import Path
import losses.weights
losses.weights.PRETRAINED = Path({folder!r})
from restoration.cli import run_and_exit
run_and_exit()
"""


def torchrun(*arguments, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(  # noqa: S603
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def write_options(folder: Path, images: Path, batch: int, name: str) -> Path:
    options = {
        "name": name,
        "num_gpu": 0,
        "manual_seed": 3,
        "datasets": {
            "train": {
                "dataroot_gt": str(images),
                "batch_size_per_gpu": batch,
                "gt_size": 16,
                "num_worker_per_gpu": 0,
            },
            "val": {"dataroot_gt": str(images), "sigma_test": [25]},
        },
        "network_g": TINY,
        "train": {
            "total_iter": 4,
            "losses": [{"type": "MAE"}],
            "optim_g": {"type": "SGD", "lr": 0.1},
            "use_grad_clip": False,
            "accumulate": 1,
        },
        "val": {"val_freq": 2, "metrics": ["psnr", "ssim"]},
        "logger": {"print_freq": 2, "save_checkpoint_freq": 2},
    }
    path = folder / f"{name}.yml"
    path.write_text(yaml.safe_dump(options))
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("ddp")


@pytest.fixture(scope="module")
def images(pictures):
    return pictures(5, side=24)


@pytest.fixture(scope="module")
def trained(place, images):
    """Train with two processes of batch 2 and one of batch 4."""
    done = torchrun(
        *("-m", "restoration.train", "--launcher", "pytorch", "-opt"),
        write_options(place, images, 2, "two"),
        cwd=place,
    )
    assert done.returncode == 0, done.stderr
    assert "Grad strides" not in done.stderr
    from restoration.cli import main

    one = write_options(place, images, 4, "one")
    roots = [f"path:experiments_root={place}/experiments", f"path:tb_root={place}/tb_logger"]
    assert main(["train", "-opt", str(one), "--force_yml", *roots]) == 0
    return done


def weights(place: Path, name: str) -> dict[str, torch.Tensor]:
    path = place / "experiments" / name / "models/net_g_latest.pth"
    return torch.load(path, weights_only=True)["params"]


def test_two_processes_are_one_with_twice_the_batch(trained, place):
    for name, tensor in weights(place, "one").items():
        torch.testing.assert_close(weights(place, "two")[name], tensor, rtol=0, atol=1e-5)


def test_curves_are_means_over_processes(trained, place):
    curves = []
    for name in ("one", "two"):
        with (place / "experiments" / name / "curves.csv").open(newline="") as file:
            curves.append([[float(v) for v in row.values()] for row in csv.DictReader(file)])
    np.testing.assert_allclose(*curves, rtol=1e-4)


def test_shares_of_the_gradient_are_those_of_all_processes(place, images):
    losses = "train:losses=[{type: MAE}, {type: MSE, weight: {share: 0.3}}]"
    values = []
    for name, batch in (("shares_two", 2), ("shares_one", 4)):
        options = write_options(place, images, batch, name)
        arguments = ["-opt", options, "--force_yml", losses]
        if batch == 2:
            done = torchrun("-m", "restoration.train", *arguments, cwd=place)
            assert done.returncode == 0, done.stderr
            assert done.stdout.count("share of the gradient: MAE") == 2
        else:
            from restoration.cli import main

            roots = [f"path:{key}={place}/{key}" for key in ("experiments_root", "tb_root")]
            assert main(["train", *map(str, arguments), *roots]) == 0
        root = "experiments" if batch == 2 else "experiments_root"
        written = yaml.safe_load((place / root / name / "options.yml").read_text())
        values.append(written["train"]["losses"][1]["weight"])
    assert [value["share"] for value in values] == [0.3, 0.3]
    assert values[0]["value"] == pytest.approx(values[1]["value"], rel=0.05)


def test_only_the_first_process_writes(trained, place):
    log = (place / "experiments/two/train.log").read_text()
    assert log.count("[4/4] lr") == 1
    assert trained.stdout.count("[4/4] lr") == 1
    assert len(list((place / "tb_logger/two").iterdir())) == 1
    assert '"processes": 2' in (place / "experiments/two/environment.json").read_text()
    assert not list(place.glob("experiments/*archived*"))


def test_sharded_test_is_the_whole_test(trained, place, images, monkeypatch):
    save_file(MaskBank((3,)).state_dict(), place / "pixel_mask_e_mae.safetensors")
    script = place / "with_random_mask.py"
    script.write_text(PICTURE.format(folder=str(place)))
    options = write_options(place, images, 2, "tested")
    checkpoint = place / "experiments/one/models/net_g_latest.pth"
    forced = ["--force_yml", f"path:pretrain_network_g={checkpoint}"]
    done = torchrun(
        *(script, "test", "--launcher", "pytorch", "-opt", options, *forced, "name=sharded"),
        cwd=place,
    )
    assert done.returncode == 0, done.stderr
    from losses import weights
    from restoration.cli import main

    monkeypatch.chdir(place)
    monkeypatch.setattr(weights, "PRETRAINED", place)
    assert main(["test", "-opt", str(options), *forced, "name=whole"]) == 0
    whole, sharded = place / "results/whole", place / "results/sharded"
    read = [(p / "per_image.csv").read_text() for p in (whole, sharded)]
    assert read[0] == read[1].replace("sharded", "whole")
    rows = [json.loads((p / "results.json").read_text())["rows"] for p in (whole, sharded)]
    assert [r | {"run": ""} for r in rows[0]] == [r | {"run": ""} for r in rows[1]]
    assert (sharded / "picture.png").is_file()
