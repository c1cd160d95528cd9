"""`import restoration`: what its functions do, and that submodules of the same names stay."""

import inspect
import subprocess
import sys

import pytest
import torch
import yaml
from tiny import TINY, tiny_comparison, tiny_options

import restoration
from restoration.compare.plan import load_comparison
from restoration.options.load import validate


@pytest.fixture(scope="module")
def images(pictures):
    return pictures(2, side=24)


@pytest.fixture
def options(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tiny_options(images) | {
        "name": "run",
        "train": {"total_iter": 2, "losses": [{"type": "MAE"}]},
        "val": {"metrics": ["psnr"]},
        "logger": {"use_tb_logger": False},
    }


def test_train_then_test(options, tmp_path, capsys):
    checkpoint = restoration.train(options, train={"total_iter": 3})
    assert checkpoint == tmp_path.relative_to(tmp_path) / "experiments/run/models/net_g_latest.pth"
    assert "[3/3] lr" in (tmp_path / "experiments/run/train.log").read_text()
    report = restoration.test(options, path={"pretrain_network_g": checkpoint}, folder="tested")
    assert {row.run for row in report.rows} == {"noisy", "run"}
    assert (tmp_path / "tested/results.json").is_file()
    assert not any(capsys.readouterr()), "only the command line prints"


def test_options_as_a_file_a_mapping_or_typed(options, tmp_path):
    (tmp_path / "run.yml").write_text(yaml.safe_dump(options))
    weights = []
    for number, given in enumerate((tmp_path / "run.yml", options, validate(options))):
        checkpoint = restoration.train(given, folder=tmp_path / str(number), name="other")
        weights.append(torch.load(checkpoint, weights_only=True)["params"])
        assert "name: other" in (tmp_path / str(number) / "options.yml").read_text()
    for other in weights[1:]:
        assert all(torch.equal(weights[0][name], other[name]) for name in weights[0])


def test_a_training_is_resumed(options, tmp_path):
    options["logger"]["save_checkpoint_freq"] = 1
    restoration.train(options)
    restoration.train(options, resume=True, train={"total_iter": 3})
    assert "going on from" in (tmp_path / "experiments/run/train.log").read_text()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"nmae": "x"}, ValueError, "unknown option `nmae`; did you mean `name`"),
        ({"train": {"total_itr": 1}}, ValueError, "unknown option `train.total_itr`"),
        ({"device": "gpu"}, ValueError, "expected a device such as cpu, cuda or mps, got 'gpu'"),
        ({"device": "cuda:9"}, ValueError, "expected a device that torch has here"),
    ],
)
def test_mistakes(options, tmp_path, changes, error, message):
    with pytest.raises(error, match=message):
        restoration.train(options, **changes)
    assert not list(tmp_path.iterdir())


def test_options_of_another_type():
    with pytest.raises(TypeError, match="expected the path of an option file, .* got int"):
        restoration.train(3)
    with pytest.raises(FileNotFoundError, match="gone.yml does not exist"):
        restoration.test("gone.yml")


def test_compare(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipes = [
        {"name": name, "train": {"losses": [{"type": name}]}} for name in ("MAE", "Charbonnier")
    ]
    plan = tiny_comparison(images, recipes=recipes)
    (tmp_path / "plan.yml").write_text(yaml.safe_dump(plan))
    assert load_comparison(tmp_path / "plan.yml") == load_comparison(plan)
    record = restoration.compare(plan, debug=True)
    assert record.plan.name == "debug_tiny"
    assert (tmp_path / "experiments/debug_tiny/report.html").is_file()


def test_networks_and_images(images, tmp_path):
    network = restoration.build_network(TINY)
    torch.save({"params": network.state_dict()}, tmp_path / "net.pth")
    assert restoration.load_network(network, tmp_path / "net.pth") == "params"
    image = torch.from_numpy(restoration.open_images(str(images)).read_float(0))
    batch = image.permute(2, 0, 1)[None]
    assert restoration.restore(network, batch).shape == batch.shape


# ------------------------------------------------------------------ modules of the same names


@pytest.mark.parametrize(
    "code",
    [
        "import restoration.train.loop, restoration.compare.plan, restoration.test, restoration",
        "import restoration; f = restoration.train; import restoration.train.loop",
        "from restoration import train, test, compare; import restoration.train.checkpoint",
        "from restoration.train import loop; import restoration",
    ],
)
def test_functions_and_submodules_in_any_order(code):
    code += (
        "\nimport restoration.train.loop, restoration.test, restoration.compare.plan\n"
        "assert callable(restoration.train) and callable(restoration.test)\n"
        "assert callable(restoration.compare) and restoration.train.loop.Trainer\n"
        "try:\n    restoration.train('gone.yml')\n"
        "except FileNotFoundError as error:\n    print(error)\n"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert "gone.yml does not exist" in done.stdout, done.stderr


def test_every_name_is_documented():
    for name in restoration.__all__:
        function = getattr(restoration, name)
        assert callable(function) and function.__doc__
        assert list(inspect.signature(function).parameters)[0] in (
            *("options", "plan", "network", "arguments", "dataroot", "image"),
        )
    assert set(restoration.__all__) <= set(dir(restoration))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = restoration.trian


@pytest.mark.parametrize("module", ["restoration.train", "restoration.test"])
def test_modules_are_commands_too(module, tmp_path):
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", module, "-opt", "gone.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("restoration: error: option file"), done.stderr
