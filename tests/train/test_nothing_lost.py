"""What a run survives: power cuts, damaged files, numbers that are not finite, signals, company."""

import logging
import os
import shutil
import signal
import stat
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import assert_same

from restoration.common import distributed, durable, signals
from restoration.common.lock import locked
from restoration.data import write_png
from restoration.options.load import validate
from restoration.train import run as train_recipe
from restoration.train import states, stopping
from restoration.train.api import train
from restoration.train.loop import Trainer

CONVOLUTION = {"type": "torch.nn:Conv2d", "in_channels": 3, "out_channels": 3, "kernel_size": 3}
EVERY = {"print_freq": 1, "save_checkpoint_freq": 3, "use_tb_logger": False}


@pytest.fixture(scope="module")
def images(pictures):
    return pictures(3, side=24)


@pytest.fixture(scope="module")
def make(images):
    """Options of a run of 6 steps of one convolution, with sections laid over them."""

    def make(**sections):
        options = {
            "name": "run",
            "num_gpu": 0,
            "datasets": {
                "train": {
                    "dataroot_gt": str(images),
                    "batch_size_per_gpu": 2,
                    "gt_size": 16,
                    "num_worker_per_gpu": 0,
                }
            },
            "network_g": CONVOLUTION | {"padding": 1},
            "train": {"total_iter": 6, "losses": [{"type": "MSE"}]},
            "val": {"val_freq": 1000, "metrics": ["psnr"]},
            "logger": EVERY,
        }
        for name, section in sections.items():
            options[name] = options.get(name, {}) | section
        return validate(options)

    return make


@pytest.fixture(scope="module")
def whole(make, tmp_path_factory):
    """A run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(make(), folder=folder, tb_folder=folder.with_name("tb"))
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


def go(options, folder, resume=True):
    return train(options, folder=folder, tb_folder=folder.with_name("tb"), resume=resume)


def read(path):
    return torch.load(path, weights_only=True)


def assert_same_runs(first, second):
    for name in ("models/net_g_6.pth", "training_states/6.state", "models/net_g_latest.pth"):
        assert_same(read(first / name), read(second / name))
    assert (first / "curves.csv").read_bytes() == (second / "curves.csv").read_bytes()


def flip(path, tensor):
    """Flip one bit of a tensor in a file."""
    content = bytearray(path.read_bytes())
    content[content.index(tensor.numpy().tobytes()) + 5] ^= 1
    path.write_bytes(content)


# ------------------------------------------------------------------ power cuts and damage


def test_content_is_on_the_disk_before_its_name(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def noted(descriptor):
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(os, "replace", lambda *names: calls.append("rename") or replace(*names))
    (tmp_path / "above").mkdir()
    durable.write_text(tmp_path / "above/text", "content")
    assert calls == ["file", "rename", "folder"]


DAMAGE = {
    "empty state": lambda state, weights: state.write_bytes(b""),
    "half a state": lambda state, weights: os.truncate(state, state.stat().st_size // 2),
    "empty weights": lambda state, weights: weights.write_bytes(b""),
    "half the weights": lambda state, weights: os.truncate(weights, weights.stat().st_size // 2),
    "a bit of the state": lambda state, weights: flip(
        state, read(state)["optimizer"]["state"][0]["exp_avg"]
    ),
    "a bit of the weights": lambda state, weights: flip(weights, read(weights)["params"]["weight"]),
    "the state of another step": lambda state, weights: shutil.copy(
        state.with_name("3.state"), state
    ),
    "the weights of another step": lambda state, weights: shutil.copy(
        weights.with_name("net_g_3.pth"), weights
    ),
    "a list": lambda state, weights: torch.save([1], state),
    "text for a step": lambda state, weights: torch.save(read(state) | {"iter": "six"}, state),
    "no means": lambda state, weights: torch.save(read(state) | {"means": {"sums": 3}}, state),
    "text": lambda state, weights: state.write_text("six"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_the_newest_state_that_is_whole_is_taken(make, whole, folder, caplog, damage):
    caplog.set_level("INFO", "restoration")
    damage(folder / "training_states/6.state", folder / "models/net_g_6.pth")
    go(make(), folder)
    assert_same_runs(whole, folder)
    assert "passed over: expected" in caplog.text
    assert "step 3 of 6" in caplog.text


def test_moments_of_another_shape_are_refused(make, folder):
    """They would make the optimiser's kernel write beside its memory."""
    path = folder / "training_states/3.state"
    content = read(path)
    content["optimizer"]["state"][0]["exp_avg"] = torch.zeros(2)
    torch.save(content, path)
    with pytest.raises(ValueError, match=r"3.state: expected exp_avg of shape \(3, 3, 3, 3\)"):
        go(make(path={"resume_state": str(path)}), folder, resume=False)


def test_damaged_tables_and_foreign_files(make, whole, folder, caplog):
    for name in ("training_states/6.state", "models/net_g_6.pth"):
        (folder / name).unlink()
    (folder / "training_states/999.state").write_text("mine")
    (folder / "options.yml").write_bytes(b"name: [\xff")
    curves = folder / "curves.csv"
    curves.write_bytes(curves.read_bytes() + b"\n\xff\xfe,,\nseven,1,1,1,1\n4,0.1")
    with (folder / "train.log").open("ab") as file:
        file.write(b"cut of\xc3")
    caplog.set_level("INFO", "restoration")
    go(make(), folder)
    assert_same_runs(whole, folder)
    assert "curves.csv: 4 damaged lines are left out" in caplog.text
    assert "options.yml cannot be read and is written anew" in caplog.text
    (aside,) = folder.glob("set_aside_*")
    assert (aside / "training_states/999.state").read_text() == "mine"
    assert b"cut of\xc3\n2" in (folder / "train.log").read_bytes()


def test_old_states_are_removed_as_the_options_say(make, tmp_path):
    kept = {"save_checkpoint_freq": 1, "keep_last": 2, "keep_every": 3}
    go(make(logger=kept), tmp_path / "run")
    found = {int(path.stem) for path in (tmp_path / "run/training_states").iterdir()}
    assert found == {3, 5, 6}
    assert len(list((tmp_path / "run/models").iterdir())) == 4  # and the latest


# ------------------------------------------------------------------ not finite


def break_gradients(monkeypatch, *broken):
    """Make the gradient NaN, under a finite loss, in some steps."""
    original = Trainer.predict

    def predict(self, degraded):
        prediction = original(self, degraded)
        steps.append(len(steps) + 1)
        if steps[-1] in broken:
            prediction.register_hook(lambda gradient: gradient * torch.nan)
        return prediction

    steps = []
    monkeypatch.setattr(Trainer, "predict", predict)


def test_a_step_without_a_finite_gradient_is_skipped(make, tmp_path, monkeypatch, caplog):
    break_gradients(monkeypatch, 3)
    caplog.set_level("INFO", "restoration")
    go(make(logger={"save_checkpoint_freq": 1}), tmp_path / "run")
    weights = [read(tmp_path / f"run/models/net_g_{n}.pth")["params"]["weight"] for n in (2, 3, 4)]
    assert torch.equal(weights[0], weights[1]), "nothing moved"
    assert not torch.equal(weights[1], weights[2]), "and it goes on"
    assert "skipped, as the gradient is not finite: step 3" in caplog.text
    assert "samples of step 3: 4 to 5, of" in caplog.text
    assert "nan" not in (tmp_path / "run/curves.csv").read_text().splitlines()[4]


def test_too_many_in_a_row_end_the_training(make, tmp_path, monkeypatch):
    break_gradients(monkeypatch, 4, 5, 6)
    with pytest.raises(FloatingPointError, match="gradient is not finite at step 4.*from step 3"):
        go(make(train={"max_skipped": 2}), tmp_path / "run")
    assert states.newest_whole(tmp_path / "run")[0].name == "3.state"


def test_weights_that_are_not_finite_are_not_saved(make, tmp_path, monkeypatch):
    step = Trainer.step

    def spoiled(self, number, batches):
        result = step(self, number, batches)
        if number == 4:
            self.network.bias.data[1] = torch.inf
        return result

    monkeypatch.setattr(Trainer, "step", spoiled)
    with pytest.raises(FloatingPointError, match="continue from step 3"):
        go(make(), tmp_path / "run")
    assert not (tmp_path / "run/models/net_g_6.pth").exists()


def test_steps_after_the_end_of_the_schedule_are_refused(make):
    cosine = {"type": "TrueCosineAnnealingLR", "T_max": 4}
    with pytest.raises(ValueError, match="expected at most 4 steps of this schedule.*got 6"):
        train_recipe.prepare(make(train={"scheduler": cosine}), torch.device("cpu"))
    train_recipe.prepare(make(train={"scheduler": cosine | {"eta_min": 1e-5}}), torch.device("cpu"))


# ------------------------------------------------------------------ signals and other ends


def at_step(monkeypatch, number, act):
    """Do something in the middle of a step."""
    original, count = Trainer.predict, [0]

    def predict(self, degraded):
        count[0] += 1
        if count[0] == number:
            act()
        return original(self, degraded)

    monkeypatch.setattr(Trainer, "predict", predict)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1"])
def test_signals_end_a_training_after_a_whole_step(make, whole, tmp_path, monkeypatch, name):
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_DFL)  # nohup, for one, ignores SIGHUP
    try:
        with monkeypatch.context() as patch:
            at_step(patch, 5, lambda: os.kill(os.getpid(), number))
            with pytest.raises(KeyboardInterrupt, match=name) as stopped:
                go(make(), tmp_path / "run")
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert signals.exit_code(stopped.value) == 128 + number
    assert states.newest_whole(tmp_path / "run")[0].name == "5.state"
    go(make(), tmp_path / "run")
    assert_same_runs(whole, tmp_path / "run")


def test_a_training_ends_after_its_hours(make, whole, tmp_path):
    with pytest.raises(KeyboardInterrupt, match="max_hours") as stopped:
        go(make(train={"max_hours": 1e-12}), tmp_path / "run")
    assert signals.exit_code(stopped.value) == 75
    assert states.newest_whole(tmp_path / "run")[0].name == "1.state"
    go(make(), tmp_path / "run")
    assert_same_runs(whole, tmp_path / "run")


def test_a_second_signal_inside_the_update_saves_nothing(make, tmp_path, monkeypatch):
    """The weights are of step 5 by then, or of none, and the step done is the fourth."""
    original = torch.optim.AdamW.step

    def step(self, *arguments):
        original(self, *arguments)
        count[0] += 1
        if count[0] == 5:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)

    count = [0]
    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        go(make(), tmp_path / "run")
    assert states.newest_whole(tmp_path / "run")[0].name == "3.state"


def test_signals_wait_until_a_file_is_written():
    written = []
    with pytest.raises(KeyboardInterrupt), signals.signals_interrupt():
        with signals.interrupts_deferred(), signals.interrupts_deferred(patient=True):
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGTERM)
            written.append(True)
        written.append(False)
    assert written == [True]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


ENDS = {
    "a killed worker": RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"),
    "an unreadable image": ValueError("picture.png cannot be read"),
    "a full disk": OSError(28, "No space left on device"),
}


@pytest.mark.parametrize("error", ENDS.values(), ids=ENDS)
def test_whatever_ends_a_training_the_last_step_is_saved(make, whole, tmp_path, monkeypatch, error):
    def batches(loader):
        for number, batch in enumerate(loader):
            if number == 4:
                raise error
            yield batch

    with monkeypatch.context() as patch:
        original = train_recipe._loader
        patch.setattr(train_recipe, "_loader", lambda *given: batches(original(*given)))
        with pytest.raises((OSError, ValueError)):  # which are one line on the command line
            go(make(), tmp_path / "run")
    assert states.newest_whole(tmp_path / "run")[0].name == "4.state"
    go(make(), tmp_path / "run")
    assert_same_runs(whole, tmp_path / "run")


def test_a_step_is_saved_before_it_is_measured(make, images, tmp_path, monkeypatch):
    sets = make().datasets.model_dump(mode="json", exclude_unset=True, by_alias=True)
    sets["val"] = {"dataroot_gt": str(images), "sigma_test": [25], "max_images": 1}
    options = make(datasets=sets, val={"val_freq": 3})
    go(options, tmp_path / "whole")

    def killed(run, *tell):
        raise SystemExit  # as by a signal that nobody can handle: nothing else is written

    with monkeypatch.context() as patch:
        patch.setattr(train_recipe, "validate", killed)
        patch.setattr("restoration.train.steps._end", lambda *given: None)
        with pytest.raises(SystemExit):
            go(options, tmp_path / "run")
    assert states.newest_whole(tmp_path / "run")[0].name == "3.state"
    go(options, tmp_path / "run")
    assert_same_runs(tmp_path / "whole", tmp_path / "run")
    assert read(tmp_path / "run/training_states/3.state")["validated"] == 3


@pytest.mark.parametrize("metric", ["ssim", "psnr"])
def test_real_sizes_are_tried_at_the_start(make, tmp_path, metric):
    sides = (8, 9) if metric == "ssim" else (20, 41)
    write_png(tmp_path / "odd/odd.png", np.zeros((*sides, 3), np.uint8))
    sets = make().datasets.model_dump(mode="json", exclude_unset=True, by_alias=True)
    sets["val"] = {"dataroot_gt": str(tmp_path / "odd"), "sigma_test": [25]}
    options = make(datasets=sets, val={"metrics": [metric]}, logger={"keep_last": 2})
    options.network_g = {"type": f"{__name__}:Windows"}
    with pytest.raises(ValueError, match=r"odd.png: (expected|.*at least)"):
        train_recipe.prepare(options, torch.device("cpu"))
    if metric == "psnr":
        options.val.window_size = 16
        train_recipe.prepare(options, torch.device("cpu"))


class Windows(torch.nn.Module):
    """Takes sides that are multiples of 16, and does not tell."""

    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 3, 1)

    def forward(self, image):
        if image.shape[-1] % 16 or image.shape[-2] % 16:
            raise RuntimeError("expected whole windows")
        return self.convolution(image)


# ------------------------------------------------------------------ two at once


def test_a_folder_is_one_trainings(make, folder):
    before = sorted(path.name for path in folder.parent.iterdir())
    for resume in (True, False):
        with locked(folder), pytest.raises(ValueError, match=rf"process {os.getpid()} .*works in"):
            go(make(), folder, resume)
    assert sorted(path.name for path in folder.parent.iterdir()) == before, "nothing is archived"


def test_later_states_are_set_aside_when_a_run_goes_back(make, folder, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "restoration")
    back = {"path": {"resume_state": str(folder / "training_states/3.state")}}
    slower = make(train={"optim_g": {"lr": 1e-5}}, **back)
    with monkeypatch.context() as patch:
        at_step(patch, 1, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(KeyboardInterrupt):
            go(slower, folder, resume=False)
    assert states.newest_whole(folder)[0].name == "4.state", "not the sixth of before"
    (aside,) = folder.glob("set_aside_*")
    assert {path.name for path in aside.rglob("*.*")} == {"6.state", "net_g_6.pth"}
    assert f"set aside in {aside}" in caplog.text


# ------------------------------------------------------------------ several processes


class Rank:
    """What one of two ranks knows of the store that both write to."""

    def __init__(self, store, number):
        self.store, self.number = store, number

    def write(self, done):
        self.store.setdefault(self.number, done)

    def any(self):
        return bool(self.store)

    def read(self):
        return list(self.store.values()) if len(self.store) == 2 else []


@pytest.mark.parametrize("asked", [(5, 5), (5, 6), (5, None), (None, 5)])
def test_ranks_stop_after_the_same_step(monkeypatch, asked):
    """A rank is at most one step ahead of the other; each is asked to stop, or one alone."""
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(stopping, "LOOK_SECONDS", 0)
    store, stopped, at = {}, [None, None], [0, 0]
    ranks = []

    def held(number, wanted):
        return KeyboardInterrupt() if wanted and at[number] >= wanted else None

    for number in range(2):
        wanted = asked[number]
        ranks.append(stopping.Stopping(partial(held, number, wanted), torch.device("cpu")))
        ranks[-1].ranks = Rank(store, number)
    generator = np.random.default_rng(sum(filter(None, asked)))
    while None in stopped:
        number = int(generator.integers(2))
        if stopped[number] is None and at[number] <= at[1 - number]:
            at[number] += 1
            if ranks[number].due(at[number]) is not None:
                stopped[number] = at[number]
        assert max(at) < 20
    assert stopped[0] == stopped[1]


def test_a_rank_of_nothing_is_refused(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(ValueError, match="expected WORLD_SIZE beside RANK=1"):
        distributed.start(0)
    monkeypatch.delenv("RANK")
    with pytest.raises(ValueError, match="expected a process of `srun`"):
        distributed.join_slurm()


def test_another_number_of_processes_is_said(make, folder, monkeypatch, caplog):
    path = folder / "training_states/6.state"
    torch.save(read(path) | {"processes": 2}, path)
    go(make(train={"total_iter": 7}), folder)
    assert "6.state is of a training in 2 processes, this one has 1" in caplog.text
