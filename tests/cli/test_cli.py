import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from rich.console import Console
from skimage.metrics import peak_signal_noise_ratio
from tiny import TINY, tiny_options

from losses import weights
from restoration import __version__
from restoration.cli import COMMANDS, build_parser, main, session
from restoration.cli.options import reference
from restoration.data import read_float, read_image, write_png
from restoration.options.datasets import TestSet
from restoration.options.load import models_in
from restoration.options.schema import Options
from restoration.options.training import LossTerm


@pytest.fixture(scope="module")
def images(pictures):
    return pictures(2, side=24)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder to work in."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def recipe(place, images):
    """Write an option file outside the working folder, sections laid over a small recipe."""

    def write(**sections):
        options = tiny_options(images) | {
            "name": "run",
            "train": {"total_iter": 2, "losses": [{"type": "MAE"}]},
            "val": {"metrics": ["psnr", "ssim"]},
        }
        for name, section in sections.items():
            both = isinstance(section, dict) and name in options
            options[name] = options[name] | section if both else section
        file = place.parent / "recipe.yml"
        file.write_text(yaml.safe_dump(options))
        return str(file)

    return write


def network_file(folder, name="net.pth", **changes):
    from restoration.archs import build

    torch.save({"params": build(**(TINY | changes)).state_dict()}, folder / name)
    return str(folder / name)


def refused(arguments, message, place, capsys):
    """Exit code 2, one line on stderr that says why, no traceback, and nothing written."""
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert re.search(message, printed.err), printed.err
    assert printed.err.startswith("restoration: error: ")
    assert printed.err.count("\n") == 1
    assert "Traceback" not in printed.err
    assert not list(place.iterdir()), "nothing half-written"


# ------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"logger": {"print_frq": 1}}, "unknown option `logger.print_frq`; did you mean `print_f"),
        ({"train": {"total_itr": 1}}, "unknown option `train.total_itr`; did you mean `total_it"),
        ({"datasets": {"train": {"dataroot_gt": "nowhere"}}}, "nowhere"),
        ({"datasets": {"val": {"dataroot_gt": "nowhere"}}}, "nowhere"),
        ({"datasets": {"train": {"sigma_range": [0, 50]}}}, "`datasets.train.dataroot_gt` is miss"),
        ({"datasets": {"val": {"dataroot_gt": "x", "sigma_test": 300}}}, r"\[0, 255\], got 300"),
        ({"network_g": TINY | {"inp_channels": 1, "out_channels": 1}}, "3 channels .* for 1"),
        ({"network_g": TINY | {"inp_channels": 4, "out_channels": 4}}, "3 channels .* for 4"),
        ({"network_g": {"type": "Restomer"}}, "did you mean 'Restormer'"),
        ({"network_g": TINY | {"dims": 8}}, "did you mean 'dim'"),
        ({"train": {"losses": [{"type": "EVGG"}]}}, "did you mean 'E-VGG'"),
        ({"train": {"losses": [{"type": "MAE", "wight": 1}]}}, "unknown argument 'wight'"),
        ({"val": {"metrics": ["ssimm"]}}, "did you mean 'ssim'"),
        ({"path": {"pretrain_network_g": "gone.pth"}}, "gone.pth"),
        ({"path": {"resume_state": "gone/training_states/1.state"}}, "1.state does not exist"),
        ({"train": None}, "needs the sections"),
        ({"base": "gone.yml"}, "gone.yml does not exist"),
    ],
)
def test_train_refuses(recipe, place, capsys, sections, message):
    refused(["train", "-opt", recipe(**sections)], message, place, capsys)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({}, "give `path.pretrain_network_g`"),
        ({"path": {"pretrain_network_g": "gone.pth"}}, "gone.pth"),
        ({"logger": {"print_frq": 1}}, "did you mean `print_freq`"),
        ({"val": {"metrics": ["pnsr"]}}, "did you mean 'psnr'"),
        ({"datasets": {"val": {"dataroot_gt": "nowhere"}}}, "nowhere"),
    ],
)
def test_test_refuses(recipe, place, capsys, sections, message):
    refused(["test", "-opt", recipe(**sections)], message, place, capsys)


def test_test_needs_a_set(recipe, place, capsys, images):
    file = recipe()
    options = yaml.safe_load(open(file))
    del options["datasets"]["val"]
    (place.parent / "recipe.yml").write_text(yaml.safe_dump(options))
    refused(["test", "-opt", file], "needs a test set", place, capsys)


def test_checkpoint_of_another_network(recipe, place, capsys):
    wrong = network_file(place.parent, dim=8)
    file = recipe(path={"pretrain_network_g": wrong})
    message = (
        r"expected the \d+ tensors of the network, got \d+ in .*\(4, 3, 3, 3\).*\(8, 3, 3, 3\)"
    )
    refused(["test", "-opt", file], message, place, capsys)
    refused(["train", "-opt", file], message, place, capsys)


@pytest.mark.parametrize("channels", [1, 4])
def test_checkpoint_for_other_channels(recipe, place, capsys, channels):
    own = {"inp_channels": channels, "out_channels": channels}
    file = recipe(
        path={"pretrain_network_g": network_file(place.parent, **own)}, network_g=TINY | own
    )
    refused(["test", "-opt", file], f"3 channels .* for {channels}", place, capsys)


def test_file_that_is_no_checkpoint(recipe, place, capsys):
    (place.parent / "net.pth").write_text("hello")
    file = recipe(path={"pretrain_network_g": str(place.parent / "net.pth")})
    refused(["test", "-opt", file], "net.pth", place, capsys)


def test_unreadable_images(recipe, place, capsys, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "bad.jpg").write_bytes(b"\xff\xd8 no more")
    for name, command in (("train", "train"), ("val", "train"), ("val", "test")):
        given = {"dataroot_gt": str(broken)} | ({"gt_size": 16} if name == "train" else {})
        own = network_file(place.parent)
        file = recipe(datasets={name: given}, path={"pretrain_network_g": own})
        refused([command, "-opt", file], "bad.jpg", place, capsys)


def test_option_file_mistakes(place, capsys):
    refused(["train", "-opt", "gone.yml"], "gone.yml does not exist", place, capsys)
    (place.parent / "bad.yml").write_text("a: [1,\nb: 2\n")
    bad = str(place.parent / "bad.yml")
    refused(["train", "-opt", bad], "bad.yml: not valid YAML", place, capsys)


def test_force_yml_mistakes(recipe, place, capsys):
    file = recipe()
    refused(
        ["train", "-opt", file, "--force_yml", "train:total_iter"],
        "expected KEY:KEY=VALUE",
        place,
        capsys,
    )
    refused(
        ["train", "-opt", file, "--force_yml", "train:totl_iter=3"],
        "did you mean `total_iter`",
        place,
        capsys,
    )


def test_folder_that_cannot_be_made(recipe, place, capsys):
    (place.parent / "file").write_text("")
    file = recipe(path={"experiments_root": str(place.parent / "file")})
    assert main(["train", "-opt", file]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert "file" in printed.err


def test_other_ranks_say_who_they_are(place, capsys, monkeypatch):
    monkeypatch.setenv("RANK", "3")
    assert main(["train", "-opt", "gone.yml"]) == 2
    assert capsys.readouterr().err.startswith("restoration: error (rank 3): ")


def test_traceback_on_request(place, monkeypatch):
    monkeypatch.setenv("RESTORATION_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError):
        main(["train", "-opt", "gone.yml"])


def test_interrupt(place, capsys, monkeypatch):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("restoration.cli.weights.run", interrupted)
    assert main(["weights", "list"]) == 130
    assert capsys.readouterr().err == "restoration: interrupted\n"


@pytest.mark.parametrize("arguments", [["trian"], ["train"], ["weights", "burn"], ["score"]])
def test_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: restoration" in capsys.readouterr().err


# ------------------------------------------------------------------ train, test, demo


def test_train_then_test(recipe, place, capsys):
    assert main(["train", "-opt", recipe(val={"val_freq": 1, "rgb2bgr": True})]) == 0
    printed = capsys.readouterr().out
    assert "accepted, without effect here: val.rgb2bgr" in printed
    assert "validation: psnr/sigma25" in printed
    assert {p.name for p in place.iterdir()} == {"experiments", "tb_logger"}
    latest = place / "experiments/run/models/net_g_latest.pth"
    file = recipe()
    path = f"path:pretrain_network_g={latest}"
    assert main(["test", "-opt", file, "--force_yml", path, "name=tested"]) == 0
    printed = capsys.readouterr().out
    assert "PSNR ↑" in printed
    assert "noisy" in printed
    assert (place / "results/tested/results.json").is_file()
    assert main(["test", "-opt", file, "--debug", "--force_yml", path]) == 0
    rows = json.loads((place / "results/debug_run/results.json").read_text())["rows"]
    assert {row["n"] for row in rows} == {1}


def test_auto_resume(recipe, place, capsys):
    file = recipe(logger={"save_checkpoint_freq": 1, "use_tb_logger": False})
    assert main(["train", "-opt", file]) == 0
    more = ["--force_yml", "train:total_iter=3"]
    assert main(["train", "-opt", file, "--auto_resume", *more]) == 0
    assert "going on from" in capsys.readouterr().out
    assert not list(place.glob("experiments/*archived*"))
    assert (place / "experiments/run/training_states/3.state").is_file()
    assert main(["train", "-opt", file]) == 0
    printed = capsys.readouterr().out
    assert "archived as" in " ".join(printed.split())


def test_debug(recipe, place):
    file = recipe(train={"total_iter": 1000, "losses": [{"type": "MAE"}]})
    assert main(["train", "-opt", file, "--debug"]) == 0
    assert (place / "experiments/debug_run/models/net_g_8.pth").is_file()


def test_demo_runs_its_own_option_file(place, capsys, monkeypatch, images):
    """The shipped demo with small pictures and a small loss, which need no trained weights."""
    from restoration.cli import demo

    load_options = demo.load_options

    def small(path, assignments, model):
        options = load_options(path, assignments, model)
        options.datasets.train.dataroot_gt = str(images)
        options.datasets.train.gt_size = 16
        options.datasets.test["photographs"].dataroot_gt = str(images)
        options.train.losses = [LossTerm(type="MAE")]
        options.val.metrics = ["psnr", "e_mae"]
        return options

    monkeypatch.setattr(demo, "load_options", small)
    assert main(["demo", "--out", "here", "--iters", "2"]) == 0
    printed = capsys.readouterr().out
    assert "Look at here/picture.png" in printed
    names = {p.name for p in (place / "here").iterdir()}
    assert names >= {
        *("picture.png", "results.json", "per_image.csv", "table.md", "curves.csv"),
        *("options.yml", "environment.json", "models", "training_states", "tb_logger"),
    }
    rows = json.loads((place / "here/results.json").read_text())["rows"]
    assert {row["run"] for row in rows} == {"noisy", "demo"}


def test_demo_refuses_no_steps(place, capsys):
    refused(["demo", "--iters", "0"], "train.total_iter", place, capsys)


def test_loader_errors_keep_their_own_words(capsys, monkeypatch):
    from restoration import cli

    text = (
        "Caught ValueError in DataLoader worker process 0.\nOriginal Traceback (most recent call "
        'last):\n  File "x.py", line 1\nValueError: expected a readable image, got x.png'
    )
    assert cli._message(ValueError(text)) == "expected a readable image, got x.png"
    assert cli._message(ValueError("two\nlines")) == "two lines"
    assert cli._message(ValueError()) == "ValueError"


# ------------------------------------------------------------------ score


@pytest.fixture
def pair(tmp_path):
    generator = np.random.default_rng(0)
    reference = generator.integers(60, 190, (32, 40, 3), dtype=np.uint8)
    noise = generator.integers(-20, 21, reference.shape)
    write_png(tmp_path / "reference.png", reference)
    write_png(tmp_path / "distorted.png", (reference + noise).astype(np.uint8))
    return str(tmp_path / "reference.png"), str(tmp_path / "distorted.png")


def test_score_json(place, pair, capsys):
    assert main(["score", *pair, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"psnr", "ssim", "mae", "e-mae"}
    x, y = (read_float(path).astype(np.float64) for path in reversed(pair))
    assert found["psnr"] == pytest.approx(peak_signal_noise_ratio(y, x, data_range=1), abs=1e-4)
    assert found["mae"] == pytest.approx(np.abs(x - y).mean(), rel=1e-5)
    assert 0 < found["e-mae"] < found["mae"]


def test_score_of_several_pictures(place, pair, capsys):
    reference_path, distorted = pair
    arguments = [
        "score",
        reference_path,
        distorted,
        reference_path,
        "--metrics",
        "psnr, charbonnier",
    ]
    assert main([*arguments, "--json"]) == 0
    first, same = json.loads(capsys.readouterr().out)
    assert first["image"] == distorted
    assert same["psnr"] is None, "infinite; JSON has no word for it"
    assert same["charbonnier"] == pytest.approx(1e-3, rel=1e-5)
    assert main(arguments) == 0
    table = capsys.readouterr().out
    assert "PSNR" in table
    assert "CHARBONNIER" in table
    assert f"{first['psnr']:.6g}" in table
    assert "inf" in table


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ("psn", "did you mean 'psnr'"),
        (" , ", "at least one metric"),
        ("e-lpips", "restoration weights fetch vgg16"),
    ],
)
def test_score_metrics(place, pair, capsys, monkeypatch, metrics, message):
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(place.parent / "cache"))
    refused(["score", *pair, "--metrics", metrics], message, place, capsys)


def test_score_has_lpips_offline(place, pair, capsys):
    assert main(["score", *pair, "--metrics", "lpips", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lpips"] > 0


def test_score_pictures(place, pair, capsys, tmp_path):
    refused(["score", pair[0], "gone.png"], "gone.png does not exist", place, capsys)
    folder = str(tmp_path)
    refused(["score", pair[0], folder], f"got the folder {folder}", place, capsys)
    flags = ["masks", "distortions", "--out", "sheet.png", "--image"]
    refused([*flags, "gone.png"], "--image: gone.png does not exist", place, capsys)
    write_png(tmp_path / "small.png", np.zeros((32, 39, 3), np.uint8))
    small = str(tmp_path / "small.png")
    refused(["score", pair[0], small], "small.png: expected 40x32 .*, got 39x32", place, capsys)
    (tmp_path / "bad.png").write_text("no picture")
    refused(["score", pair[0], str(tmp_path / "bad.png")], "bad.png", place, capsys)


def test_score_of_grey_pictures(place, capsys, tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (20, 20), dtype=np.uint8)
    write_png(tmp_path / "a.png", grey)
    write_png(tmp_path / "b.png", np.repeat(grey[:, :, None], 3, axis=2))
    assert main(["score", str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mae"] == 0


# ------------------------------------------------------------------ weights


def test_weights_list(place, capsys):
    assert main(["weights", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in weights.MANIFEST:
        (line,) = [one for one in lines if one.split("│")[0].strip() == name]
        entry = weights.MANIFEST[name]
        here = ("ships" if entry.ships else "yes") if entry.path.is_file() else "no"
        assert line.split("│")[1].strip() == here
        assert line.split("│")[2].strip() == weights.megabytes(entry.size)
    assert main(["weights", "list", "E_MAE"]) == 0
    printed = capsys.readouterr().out
    assert "licence: none stated: for your own use" in printed
    assert "from: https://" in printed and ", 0.17 MB" in printed


def test_weights_path(place, capsys, monkeypatch):
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(place / "a long name for a folder of weights"))
    assert main(["weights", "path", "alexnet", "MILO"]) == 0
    here, would_be = capsys.readouterr().out.splitlines()
    assert here == str(weights.PRETRAINED / "alexnet_features.safetensors")
    assert would_be == str(place / "a long name for a folder of weights" / "MILO.pth")
    refused(["weights", "path"], "path needs names; known: alexnet", place, capsys)


def test_weights_verify(place, capsys, monkeypatch):
    assert main(["weights", "verify"]) == 0
    assert "pixel_mask_e_mae: verified" in capsys.readouterr().out
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(place.parent / "cache"))
    refused(["weights", "verify", "E_MAE"], "restoration weights fetch E_MAE", place, capsys)
    (place.parent / "cache").mkdir()
    (place.parent / "cache/E_MAE.pth").write_bytes(b"something else")
    refused(["weights", "verify", "E_MAE"], "does not have the recorded", place, capsys)
    assert main(["weights", "verify", "E_MAE", "pixel_mask_e_mae"]) == 2
    assert "pixel_mask_e_mae: verified" in capsys.readouterr().out
    refused(["weights", "verify", "E_MEA"], "unknown weights 'E_MEA'", place, capsys)


def test_weights_fetch(place, capsys, monkeypatch):
    refused(["weights", "fetch"], "fetch needs names; known: ", place, capsys)
    assert main(["weights", "fetch", "pixel_mask_e_mae"]) == 0
    printed = "".join(capsys.readouterr().out.split())
    assert "pixel_mask_e_mae.safetensors" in printed and "itshipswiththispackage" in printed

    def offline(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setenv("RESTORATION_WEIGHTS", str(place / "cache"))
    monkeypatch.setattr("urllib.request.urlopen", offline)
    refused(["weights", "fetch", "E_MAE"], "cannot fetch .*no network", place, capsys)


def test_weights_fetch_says_the_licence_first(place, capsys, monkeypatch):
    source = place / "source.pth"
    source.write_bytes(b"weights")
    sources = (weights.Source("trial.pth", source.as_uri(), size=7_000_000),)
    blob = weights.git_blob_id(b"weights")
    entry = weights.Weights("trial.pth", "CC0-1.0", "nothing", sources, blob, used_by="trials")
    monkeypatch.setitem(weights.MANIFEST, "trial", entry)
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(place / "cache"))
    assert main(["weights", "fetch", "trial"]) == 0
    printed = capsys.readouterr().out
    lines = [
        *("trial", "  used by: trials", "  trained on: nothing", "  licence: CC0-1.0"),
        f"  its place: {place / 'cache/trial.pth'}",
        *(f"  from: {source.as_uri()}, 7 MB", f"  asking {source.as_uri()}"),
        f"trial: {place / 'cache/trial.pth'}",
    ]
    assert printed.splitlines() == lines
    assert (place / "cache/trial.pth").read_bytes() == b"weights"
    assert main(["weights", "fetch", "trial"]) == 0
    assert "nothing to fetch: it is here" in capsys.readouterr().out


# ------------------------------------------------------------------ options, help


def test_reference_has_every_key_of_every_section(capsys):
    assert main(["options"]) == 0
    text = capsys.readouterr().out
    assert text == reference()
    parts = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    sections = {part.splitlines()[0].strip("`"): part for part in parts}

    def check(model, path):
        section = sections[path or "Top level"]
        for name, field in model.model_fields.items():
            assert f"\n| `{name}` |" in section
            for child in models_in(field.annotation):
                listed = "[]" if child is LossTerm else ""
                check(child, f"{path}.{name}{listed}".lstrip("."))

    check(Options, "")
    check(TestSet, "datasets.<name>")
    assert "| None |" not in text
    assert "Annotated" not in text
    assert "class" not in text


def test_schema(capsys):
    assert main(["options", "--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert set(schema["properties"]) == set(Options.model_fields)


def test_version_and_help(capsys):
    for flag, wanted in (("--version", [__version__]), ("--help", list(COMMANDS))):
        with pytest.raises(SystemExit) as caught:
            main([flag])
        assert caught.value.code == 0
        printed = capsys.readouterr().out
        assert all(word in printed for word in wanted)
    for command in COMMANDS:
        with pytest.raises(SystemExit) as caught:
            main([command, "--help"])
        assert caught.value.code == 0
        assert "usage" in capsys.readouterr().out


def test_basicsrs_habits_are_the_same_commands(recipe, place, capsys):
    file = recipe(logger={"print_frq": 1})
    for module in ("restoration", "restoration.test"):
        own = ["test"] if module == "restoration" else []
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", module, *own, "-opt", file],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr.startswith("restoration: error: ")
        assert done.stderr.count("\n") == 1


def test_launcher_flags_are_taken():
    parsed = build_parser().parse_args(
        [
            "train",
            "-opt",
            "x.yml",
            "--launcher",
            "pytorch",
            "--local_rank",
            "1",
            "--force_yml",
            "a=1",
        ]
    )
    assert (parsed.opt, parsed.launcher, parsed.force_yml) == ("x.yml", "pytorch", ["a=1"])


# ------------------------------------------------------------------ terminal


def test_bars_on_a_terminal(recipe, place, monkeypatch):
    """On a terminal the run shows a bar; the log still goes to its file."""
    shown = io.StringIO()
    terminal = Console(file=shown, force_terminal=True, width=160, highlight=False)
    monkeypatch.setattr(session, "make_console", lambda: terminal)
    assert main(["train", "-opt", recipe()]) == 0
    assert "training" in shown.getvalue()
    assert "[2/2] lr" in (place / "experiments/run/train.log").read_text()
    path = "path:pretrain_network_g=experiments/run/models/net_g_latest.pth"
    assert main(["test", "-opt", recipe(), "--force_yml", path]) == 0
    assert "evaluating" in shown.getvalue()


def test_picture_of_a_test_is_a_picture(recipe, place):
    own = network_file(place.parent)
    assert main(["test", "-opt", recipe(path={"pretrain_network_g": own})]) == 0
    assert read_image(place / "results/run/picture.png").shape == (360, 1600, 3)
