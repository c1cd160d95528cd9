"""How often a comparison builds, opens and decodes: once for all, or once where its turn comes."""

import gc
import weakref
from collections import Counter

import pytest
import yaml
from tiny import tiny_comparison

from restoration.cli import main
from restoration.compare import candidates, run
from restoration.data import FolderSource
from restoration.metrics import Metric
from restoration.train import run as train_run

MAE = {"name": "mae", "train": {"losses": [{"type": "MAE"}]}}
MSE = {"name": "mse", "train": {"losses": [{"type": "MSE"}]}}
TRAININGS, IMAGES, LEVELS = 4, 3, 2  # two recipes, two seeds each


@pytest.fixture(scope="module")
def counted(pictures, tmp_path_factory):
    """Run a comparison, and count."""
    root = pictures(IMAGES, side=24, name="counted")
    folder = tmp_path_factory.mktemp("counted")
    options = tiny_comparison(root, recipes=[MAE, MSE]) | {"seeds": [1, 2]}
    (test_set,) = [one for name, one in options["datasets"].items() if name != "train"]
    test_set["sigma_test"] = [15, 25]
    options["val"] = options["val"] | {"metrics": ["psnr"], "val_freq": 1000}
    file = folder / "compare.yml"
    file.write_text(yaml.safe_dump(options))
    seen, alive = Counter(), []

    def counting(patch, owner, name, key):
        real = getattr(owner, name)

        def spy(*arguments, **named):
            seen[key] += 1
            made = real(*arguments, **named)
            if key == "trainer":
                gc.collect()
                alive.append(weakref.ref(made))
                seen["most trainers"] = max(
                    seen["most trainers"], sum(one() is not None for one in alive)
                )
            return made

        patch.setattr(owner, name, spy)

    with pytest.MonkeyPatch.context() as patch:
        counting(patch, train_run, "build_trainer", "trainer")
        counting(patch, train_run, "open_metrics", "metrics")
        counting(patch, candidates, "load_tested", "tested network")
        counting(patch, Metric, "__call__", "measured")
        real_run = run.run_benchmark

        def benchmark(*arguments, **named):
            with pytest.MonkeyPatch.context() as inner:
                counting(inner, FolderSource, "read_float", "decoded for the benchmark")
                return real_run(*arguments, **named)

        patch.setattr(run, "run_benchmark", benchmark)
        out = folder / "out"
        assert main(["compare", "-opt", str(file), "--out", str(out)]) == 0
    return seen


def test_each_training_is_built_to_be_tried_and_when_its_turn_comes(counted):
    assert counted["trainer"] == 2 * TRAININGS
    assert counted["tested network"] == TRAININGS
    assert counted["most trainers"] == 1, "they need not fit into memory together"


def test_metrics_are_opened_once(counted):
    assert counted["metrics"] == 1


def test_images_are_decoded_once_for_all_runs_and_levels(counted):
    assert counted["decoded for the benchmark"] == IMAGES


def test_metrics_are_tried_once(counted):
    runs = TRAININGS + 1  # the noisy input too
    tried = counted["measured"] - runs * IMAGES * LEVELS
    assert 0 < tried < TRAININGS
