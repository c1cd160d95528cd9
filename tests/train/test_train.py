import csv
import math
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from tiny import TINY, assert_same
from torch import nn

import losses
from restoration.degradations import BatchDegradation, Chain
from restoration.masks.state import save_progress
from restoration.options.load import validate
from restoration.options.training import Optimizer
from restoration.train import checkpoint
from restoration.train import prepared as prepared_module
from restoration.train import run as train_recipe
from restoration.train.api import for_debugging, train
from restoration.train.bar import clock
from restoration.train.criterion import build_criterion
from restoration.train.loop import StepResult, Trainer, interrupts_deferred, step_seed
from restoration.train.loop import train as train_steps
from restoration.train.means import RunningMeans
from restoration.train.monitor import Monitor
from restoration.train.prepared import opening

CPU = torch.device("cpu")


def run(options, folder, auto_resume=False) -> Path:
    tb_folder = folder.with_name(f"{folder.name}_tb")
    return train(options, folder=folder, tb_folder=tb_folder, device=CPU, resume=auto_resume)


def weights(folder, label="latest", key="params"):
    return torch.load(folder / "models" / f"net_g_{label}.pth", weights_only=True)[key]


def state(folder, step):
    return torch.load(folder / "training_states" / f"{step}.state", weights_only=True)


def assert_same_runs(first, second, step=6):
    assert_same(weights(first), weights(second))
    assert_same(state(first, step), state(second, step))
    assert (first / "curves.csv").read_text() == (second / "curves.csv").read_text()


def curve(folder, name="total"):
    with (folder / "curves.csv").open(newline="") as file:
        return [float(row[name]) for row in csv.DictReader(file)]


# ------------------------------------------------------------------ learning


def test_loss_falls(make_options, tmp_path):
    images = make_options().datasets.train.model_dump(exclude_unset=True)
    images |= {"sigma_type": "constant", "sigma_range": 50, "batch_size_per_gpu": 4}
    options = make_options(
        datasets={"train": images},
        train={
            "total_iter": 30,
            "optim_g": {"lr": 5e-3},
            "scheduler": {"type": "ConstantLR"},
            "grad_clip_norm": 1.0,
        },
        logger={"print_freq": 10, "save_checkpoint_freq": 1000, "use_tb_logger": False},
    )
    run(options, tmp_path / "run")
    falling = curve(tmp_path / "run")
    assert len(falling) == 3
    assert falling[-1] < 0.85 * falling[0]


def test_first_step_by_hand(make_options, tmp_path):
    """One SGD step is parameters minus rate times gradient, on the first batch of the stream."""
    options = make_options(
        train={
            "total_iter": 1,
            "losses": [{"type": "MSE", "weight": 2.0}],
            "optim_g": {"type": "SGD", "lr": 0.5, "weight_decay": 0.0},
            "use_grad_clip": False,
        }
    )
    prepared = train_recipe.prepare(options, CPU)
    twin = train_recipe.build_network(options.network_g)
    twin.load_state_dict(prepared.trainer.network.state_dict())
    batch = next(iter(train_recipe._loader(prepared, 0)))
    noisy, clean = prepared.trainer.degrade(batch, CPU)
    (2 * (twin(noisy) - clean).square().mean()).backward()
    expected = {name: p.detach() - 0.5 * p.grad for name, p in twin.named_parameters()}
    run(options, tmp_path / "run")
    for name, found in weights(tmp_path / "run").items():
        torch.testing.assert_close(found, expected[name], rtol=1e-5, atol=1e-7)


# ------------------------------------------------------------------ resuming

SETTINGS = {
    "plain": {},
    "ema": {"train": {"ema_decay": 0.9}},
    "mixup": {"train": {"mixing_augs": {"mixup": True}}},
    "progressive": {
        "train": {"use_grad_clip": False},
        "patches": {"mini_batch_sizes": [3, 2, 1], "iters": [2, 3, 1], "gt_sizes": [8, 16, 24]},
    },
    "accumulate, warm-up": {"train": {"accumulate": 2, "warmup_iter": 4}},
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_three_steps_and_three_more_are_six(make_options, tmp_path, setting):
    def options(total):
        made = make_options()
        mapping = made.model_dump(mode="json", exclude_none=True, exclude_unset=True)
        mapping["train"] |= setting.get("train", {}) | {"total_iter": total}
        mapping["datasets"]["train"] |= setting.get("patches", {})
        return validate(mapping)

    run(options(6), tmp_path / "whole")
    run(options(3), tmp_path / "parts")
    run(options(6), tmp_path / "parts", auto_resume=True)
    assert_same_runs(tmp_path / "whole", tmp_path / "parts")
    if "ema_decay" in setting.get("train", {}):
        averaged = [weights(tmp_path / f, key="params_ema") for f in ("whole", "parts")]
        assert_same(*averaged)


def test_resume_between_two_log_lines(make_options, tmp_path):
    log = {"print_freq": 4, "save_checkpoint_freq": 2, "use_tb_logger": False}
    run(make_options(logger=log), tmp_path / "whole")
    run(make_options(logger=log), tmp_path / "parts")
    for file in ("training_states/4.state", "training_states/6.state"):
        (tmp_path / "parts" / file).unlink()
    run(make_options(logger=log), tmp_path / "parts", auto_resume=True)
    assert_same_runs(tmp_path / "whole", tmp_path / "parts")


@pytest.fixture
def ctrl_c():
    """Python's own handler: a job in a shell's background starts with Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_at(monkeypatch, step, times=1):
    """Press Ctrl-C in the middle of a step: a real signal, during the backward pass."""
    original, count = losses.Criterion.forward, [0]

    def forward(self, prediction, target):
        if torch.is_grad_enabled():
            count[0] += 1
            if count[0] == step:
                for _ in range(times):
                    os.kill(os.getpid(), signal.SIGINT)
        return original(self, prediction, target)

    monkeypatch.setattr(losses.Criterion, "forward", forward)
    monkeypatch.setattr(prepared_module, "foresee", lambda run: [])  # its passes are no steps


def test_interrupted_run_goes_on_as_if_nothing_was(make_options, tmp_path, monkeypatch, ctrl_c):
    log = {"print_freq": 2, "save_checkpoint_freq": 100, "use_tb_logger": False}
    options = make_options(logger=log)
    run(options, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            run(options, tmp_path / "parts")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert checkpoint.latest_state(tmp_path / "parts").name == "3.state"
    assert not (tmp_path / "parts/models/net_g_latest.pth").exists()
    run(options, tmp_path / "parts", auto_resume=True)
    assert_same_runs(tmp_path / "whole", tmp_path / "parts")
    assert "going on from" in (tmp_path / "parts/train.log").read_text()


def test_second_interrupt_stops_at_once(make_options, tmp_path, monkeypatch, ctrl_c):
    interrupt_at(monkeypatch, 2, times=2)
    with pytest.raises(KeyboardInterrupt):
        run(make_options(), tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert checkpoint.latest_state(tmp_path / "run").name == "1.state"


def test_interrupt_while_a_batch_is_fetched(ctrl_c):
    def batches():
        for number in range(3):
            if number == 1:
                os.kill(os.getpid(), signal.SIGINT)
            yield one_batch(number)

    steps = train_steps(make_trainer(), batches(), 0, 3)
    assert [next(steps).step, next(steps).step] == [0, 1], "the step is finished first"
    with pytest.raises(KeyboardInterrupt):
        next(steps)


def test_interrupt_before_the_first_step(make_options, tmp_path, monkeypatch, ctrl_c):
    interrupt_at(monkeypatch, 1, times=2)
    with pytest.raises(KeyboardInterrupt):
        run(make_options(), tmp_path / "run")
    assert checkpoint.latest_state(tmp_path / "run") is None
    assert "no state yet" in (tmp_path / "run/train.log").read_text()


def test_interrupt_keeps_no_broken_weights(make_options, tmp_path, monkeypatch, ctrl_c):
    interrupt_at(monkeypatch, 3)
    wild = {"optim_g": {"type": "SGD", "lr": 1e38}, "use_grad_clip": False}
    log = {"print_freq": 100, "save_checkpoint_freq": 100, "use_tb_logger": False}
    with pytest.raises(KeyboardInterrupt):
        run(make_options(train=wild, logger=log), tmp_path / "run")
    assert not list((tmp_path / "run").glob("models/*"))


def test_interrupts_are_left_to_their_own_handler():
    mine = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts_deferred():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, mine)


def test_resume_from_another_folder_archives(make_options, tmp_path):
    run(make_options(), tmp_path / "first")
    (tmp_path / "second").mkdir()
    (tmp_path / "second/options.yml").write_text("name: of an earlier run")
    (tmp_path / "second/notes.txt").write_text("mine")
    path = {"resume_state": str(tmp_path / "first/training_states/3.state")}
    run(make_options(path=path), tmp_path / "second")
    assert_same(weights(tmp_path / "first"), weights(tmp_path / "second"))
    (archived,) = tmp_path.glob("second_archived_*")
    assert (archived / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("content", [{"iter": 3, "optimizers": []}, [1], b"no checkpoint"])
def test_resume_from_something_else(make_options, tmp_path, content):
    run(make_options(), tmp_path / "run")
    broken = tmp_path / "run/training_states/6.state"
    if isinstance(content, bytes):
        broken.write_bytes(content)
    else:
        torch.save(content, broken)
    before = sorted(p.name for p in tmp_path.rglob("*"))
    with pytest.raises(ValueError, match="expected a training state"):
        run(make_options(path={"resume_state": str(broken)}), tmp_path / "run")
    (tmp_path / "run/training_states/3.state").write_bytes(b"")
    with pytest.raises(ValueError, match="is whole: expected a training state"):
        run(make_options(), tmp_path / "run", auto_resume=True)
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


def test_resume_takes_the_optimizers_settings_of_now(make_options, tmp_path):
    run(make_options(), tmp_path / "run")
    changed = {"optim_g": {"lr": 1e-3, "weight_decay": 0.5, "betas": [0.8, 0.99]}, "total_iter": 8}
    newest = checkpoint.latest_state(tmp_path / "run")
    prepared = train_recipe.prepare(make_options(train=changed), CPU, newest)
    (group,) = prepared.trainer.optimizer.param_groups
    assert (group["weight_decay"], tuple(group["betas"])) == (0.5, (0.8, 0.99))
    moments = prepared.trainer.optimizer.state_dict()["state"]
    assert_same(moments, state(tmp_path / "run", 6)["optimizer"]["state"])


def test_resume_says_what_changed(make_options, tmp_path):
    """The folder's options are those of now; its log keeps what they were."""
    for total, lr in [(6, 1e-3), (6, 1e-3), (7, 1e-4)]:
        options = make_options(train={"total_iter": total, "optim_g": {"lr": lr}})
        run(options, tmp_path / "run", auto_resume=True)
    log = (tmp_path / "run/train.log").read_text()
    (said,) = re.findall(r"changed since: (.*)", log)
    assert said == "train.total_iter 6 -> 7; train.optim_g.lr 0.001 -> 0.0001"


def test_resume_with_other_losses_does_not_mix_their_means(make_options, tmp_path):
    log = {"print_freq": 4, "save_checkpoint_freq": 3, "use_tb_logger": False}
    run(make_options(logger=log), tmp_path / "run")
    (tmp_path / "run/training_states/6.state").unlink()
    changed = {"losses": [{"type": "MAE", "name": "twice", "weight": 2.0}], "total_iter": 4}
    run(make_options(logger=log, train=changed), tmp_path / "run", auto_resume=True)
    assert curve(tmp_path / "run") == pytest.approx(
        [2 * v for v in curve(tmp_path / "run", "twice")]
    )


def test_resume_with_another_metric_forgets_the_best(make_options, tmp_path, images):
    both = make_options().datasets.train.model_dump(exclude_unset=True)
    sets = {"train": both, "val": {"dataroot_gt": str(images), "sigma_test": [25]}}
    run(make_options(datasets=sets, val={"val_freq": 2}), tmp_path / "run")
    newest = checkpoint.latest_state(tmp_path / "run")
    for metrics, kept in [(["psnr"], True), (["ssim", "psnr"], False)]:
        options = make_options(datasets=sets, val={"val_freq": 2, "metrics": metrics})
        best = train_recipe.prepare(options, CPU, newest).start.best
        assert best == (state(tmp_path / "run", 6)["best"] if kept else None)


def test_auto_resume_goes_before_resume_state(make_options, tmp_path):
    """A run that started from another run's state and was interrupted is not started again."""
    run(make_options(), tmp_path / "first")
    path = {"resume_state": str(tmp_path / "first/training_states/3.state")}
    run(make_options(path=path), tmp_path / "second", auto_resume=True)
    (tmp_path / "second/mine.txt").write_text("kept")
    run(make_options(path=path), tmp_path / "second", auto_resume=True)
    assert (tmp_path / "second/mine.txt").exists()
    assert "second/training_states/6.state" in (tmp_path / "second/train.log").read_text()


def test_network_that_draws_by_itself_resumes_exactly(make_options, tmp_path, monkeypatch):
    class Drops(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Conv2d(3, 3, 3, padding=1), nn.Dropout(0.5))

    monkeypatch.setattr(train_recipe, "build_network", lambda arguments: Drops())
    run(make_options(), tmp_path / "whole")
    run(make_options(train={"total_iter": 3}), tmp_path / "parts")
    run(make_options(), tmp_path / "parts", auto_resume=True)
    assert_same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    assert len({step_seed(0, step, rank) for step in range(9) for rank in range(9)}) == 81


def test_resume_needs_what_fits(make_options, tmp_path):
    run(make_options(), tmp_path / "run")
    with pytest.raises(ValueError, match="of another optimiser than SGD"):
        run(
            make_options(train={"optim_g": {"type": "SGD"}}),
            tmp_path / "run",
            auto_resume=True,
        )
    with pytest.raises(ValueError, match="another `train.amp`"):
        run(make_options(train={"amp": "fp16"}), tmp_path / "run", auto_resume=True)
    with pytest.raises(ValueError, match=r"is at step 6, beyond train.total_iter = 5"):
        run(make_options(train={"total_iter": 5}), tmp_path / "run", auto_resume=True)
    with pytest.raises(ValueError, match="params_ema"):
        run(make_options(train={"ema_decay": 0.9}), tmp_path / "run", auto_resume=True)
    (tmp_path / "run/models/net_g_3.pth").unlink()
    gone = {"resume_state": str(tmp_path / "run/training_states/3.state")}
    with pytest.raises(FileNotFoundError, match="net_g_3.pth does not exist"):
        run(make_options(path=gone), tmp_path / "run")


def test_state_without_weights_is_passed_over(make_options, tmp_path):
    run(make_options(), tmp_path / "run")
    (tmp_path / "run/models/net_g_6.pth").unlink()
    assert checkpoint.latest_state(tmp_path / "run").name == "3.state"
    assert checkpoint.latest_state(tmp_path / "nothing") is None


# ------------------------------------------------------------------ steps


def test_accumulation_is_a_larger_batch(make_options, tmp_path):
    images = make_options().datasets.train.model_dump(exclude_unset=True)
    sgd = {"optim_g": {"type": "SGD", "lr": 0.1}, "total_iter": 3, "use_grad_clip": False}
    run(make_options(train=sgd | {"accumulate": 2}), tmp_path / "two")
    four = {"train": images | {"batch_size_per_gpu": 4}}
    run(make_options(train=sgd, datasets=four), tmp_path / "four")
    for name, found in weights(tmp_path / "two").items():
        torch.testing.assert_close(found, weights(tmp_path / "four")[name], rtol=0, atol=1e-6)
    np.testing.assert_allclose(curve(tmp_path / "two"), curve(tmp_path / "four"), rtol=1e-5)


def make_trainer(network=None, **arguments):
    network = network or nn.Conv2d(3, 3, 3, padding=1)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    criterion = build_criterion([{"type": "MSE"}])
    degrade = BatchDegradation(Chain({"type": "gaussian", "sigma": 25}))
    return Trainer(network, criterion, optimizer, lambda step: 0.1, CPU, degrade, **arguments)


def one_batch(seed=0, sigma=25.0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "crop": torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8, generator=generator),
        "parameters": torch.full((2, 1, 1), sigma),
        "seeds": torch.tensor([[1], [2]]),
    }


@pytest.mark.parametrize("kind", ["AdamW", "Adam", "SGD"])
def test_optimizers_in_one_kernel(kind):
    options = Optimizer(type=kind, lr=1e-2, weight_decay=0.1)
    extra = {} if kind == "SGD" else {"betas": (0.9, 0.999)}
    ours, plain = (nn.Linear(5, 3).double() for _ in range(2))
    plain.load_state_dict(ours.state_dict())
    pairs = [
        (ours, train_recipe.build_optimizer(ours, options)),
        (plain, getattr(torch.optim, kind)(plain.parameters(), 1e-2, weight_decay=0.1, **extra)),
    ]
    assert pairs[0][1].defaults["fused"], "what is tested is used"
    for step in range(4):
        x = torch.rand(7, 5, generator=torch.Generator().manual_seed(step)).double()
        for network, optimizer in pairs:
            optimizer.zero_grad()
            network(x).square().sum().backward()
            optimizer.step()
    assert torch.allclose(ours.weight, plain.weight, rtol=1e-12, atol=0)
    pairs[0][1].load_state_dict(pairs[1][1].state_dict())  # as a state of before has it
    pairs[0][1].step()


def test_clipping_bounds_the_update():
    torch.manual_seed(0)
    network = nn.Conv2d(3, 3, 3, padding=1)
    before = [p.detach().clone() for p in network.parameters()]
    result = make_trainer(network, clip=1e-3).step(0, [one_batch()])
    moved = torch.cat(
        [(p.detach() - b).flatten() for p, b in zip(network.parameters(), before, strict=True)]
    )
    assert float(result.grad_norm) > 1e-2, "reported before clipping"
    assert float(moved.norm()) == pytest.approx(0.1 * 1e-3, rel=1e-3)  # rate times norm
    assert result.learning_rate == 0.1


def test_ema_by_hand():
    torch.manual_seed(0)
    trainer = make_trainer(ema_decay=0.75)
    seen = []
    for step in range(4):
        trainer.step(step, [one_batch(step)])
        seen.append(trainer.network.weight.detach().clone())
    expected = seen[0]
    for weight in seen[1:]:
        expected = 0.75 * expected + 0.25 * weight
    torch.testing.assert_close(trainer.ema.module.weight, expected)
    assert trainer.tested is trainer.ema.module
    assert make_trainer().tested.weight.requires_grad


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_autocast(make_options, tmp_path, amp):
    run(make_options(train={"amp": amp}), tmp_path / amp)
    run(make_options(), tmp_path / "none")
    half, full = curve(tmp_path / amp), curve(tmp_path / "none")
    seen = 6 if amp == "bf16" else 1  # a scaler skips its first steps until its scale fits
    np.testing.assert_allclose(half[:seen], full[:seen], rtol=0.05)
    assert half != full
    assert all(t.dtype == torch.float32 for t in weights(tmp_path / amp).values())
    assert bool(state(tmp_path / amp, 6)["scaler"]) == (amp == "fp16")


def test_weights_follow_from_the_seed(make_options):
    def first(seed):
        options = make_options(manual_seed=seed)
        made = train_recipe.build_trainer(options, options.train, None, CPU)
        return made.network.state_dict()

    assert_same(first(1), first(1))
    a, b = first(1), first(2)
    assert any(not torch.equal(a[name], b[name]) for name in a)


def test_pretrained_start(make_options, tmp_path):
    run(make_options(), tmp_path / "first")
    path = {"pretrain_network_g": str(tmp_path / "first/models/net_g_3.pth")}
    prepared = train_recipe.prepare(make_options(path=path), CPU)
    assert_same(dict(prepared.trainer.network.state_dict()), dict(weights(tmp_path / "first", 3)))


# ------------------------------------------------------------------ what goes wrong


@pytest.mark.parametrize("print_freq", [1, 100])
def test_loss_that_is_not_finite(make_options, tmp_path, monkeypatch, print_freq):
    original, count = losses.Criterion.forward, [0]

    def forward(self, prediction, target):
        total, values = original(self, prediction, target)
        if torch.is_grad_enabled():
            count[0] += 1
            if count[0] == 2:
                total = total * math.nan
        return total, values

    monkeypatch.setattr(losses.Criterion, "forward", forward)
    monkeypatch.setattr(prepared_module, "foresee", lambda run: [])  # its passes are no steps
    log = {"print_freq": print_freq, "save_checkpoint_freq": 3, "use_tb_logger": False}
    with pytest.raises(FloatingPointError, match=r"not finite at step 2 \(.*total nan"):
        run(make_options(logger=log, train={"max_skipped": 1}), tmp_path / "run")
    assert not list((tmp_path / "run").glob("models/*")), "broken weights are not kept"


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"network_g": TINY | {"inp_channels": 1, "out_channels": 1}}, "3 channels .* for 1"),
        ({"network_g": TINY | {"inp_channels": 4, "out_channels": 4}}, "3 channels .* for 4"),
        ({"network_g": TINY | {"dim": "eight"}}, "network_g"),
        ({"network_g": TINY | {"dimm": 8}}, "did you mean 'dim'"),
        ({"network_g": {"type": "Restormr"}}, "did you mean 'Restormer'"),
        ({"train": {"losses": [{"type": "Charbonier"}]}}, "did you mean 'Charbonnier'"),
        ({"train": {"losses": [{"type": "MAE", "reductio": 1}]}}, "did you mean 'reduction'"),
        ({"val": {"metrics": ["pnsr"]}}, "did you mean 'psnr'"),
        ({"train": None}, "sections `train` and `datasets.train`"),
        ({"datasets": {"train": None}}, "sections `train` and `datasets.train`"),
        ({"datasets": {"train": {"dataroot_gt": "nowhere"}}}, "nowhere"),
    ],
)
def test_mistakes_are_found_before_a_folder_is_made(make_options, tmp_path, sections, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run(make_options(**sections), tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gt_size": 12}, "multiples of 8"),
        ({"in_ch": 1}, "1 channels .* for 3"),
    ],
)
def test_patches_that_do_not_fit(make_options, tmp_path, changes, message):
    images = make_options().datasets.train.model_dump(exclude_unset=True)
    with pytest.raises(ValueError, match=message):
        run(make_options(datasets={"train": images | changes}), tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_patches_larger_than_images_are_padded_and_said(make_options, tmp_path):
    images = make_options().datasets.train.model_dump(exclude_unset=True)
    run(make_options(datasets={"train": images | {"gt_size": 32}}), tmp_path / "run")
    said = (tmp_path / "run" / "train.log").read_text()
    assert "3 of 3 images are smaller than patches of 32x32 pixels and are padded by" in said
    assert len(curve(tmp_path / "run")) == 6


def test_network_that_does_not_fit_its_images(make_options, monkeypatch):
    class Grows(nn.Module):
        def forward(self, x):
            return nn.functional.interpolate(x, scale_factor=2)

    for network, message in [
        (nn.Conv2d(5, 3, 1), r"expected a network for images \(1, 3, 16, 16\), got one that fails"),
        (Grows(), r"keeps \(1, 3, 16, 16\), got \(1, 3, 32, 32\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            train_recipe.check_network(network, 3, 16, CPU, padded=False)
        assert network.training


def test_grey_training(make_options, tmp_path):
    images = make_options().datasets.train.model_dump(exclude_unset=True)
    grey = {"train": images | {"in_ch": 1}, "val": {"dataroot_gt": images["dataroot_gt"]}}
    grey["val"] |= {"in_ch": 1, "sigma_test": 25, "max_images": 1}
    network = TINY | {"inp_channels": 1, "out_channels": 1}
    run(make_options(datasets=grey, network_g=network), tmp_path / "run")
    assert len(curve(tmp_path / "run")) == 6


def test_choice_of_noise_levels(make_options):
    images = make_options().datasets.train.model_dump(exclude_unset=True)
    chosen = {"sigma_type": "choice", "sigma_range": [15, 50]}
    prepared = train_recipe.prepare(make_options(datasets={"train": images | chosen}), CPU)
    sigmas = {prepared.dataset[index, 8]["parameters"].item() for index in range(30)}
    assert sigmas == {15.0, 50.0}
    images |= {"sigma_type": "constant", "sigma_range": 25}
    prepared = train_recipe.prepare(make_options(datasets={"train": images}), CPU)
    assert {prepared.dataset[index, 8]["parameters"].item() for index in range(5)} == {25.0}


# ------------------------------------------------------------------ folders and files


def test_existing_folder_is_archived(make_options, tmp_path):
    for _ in range(3):
        run(make_options(train={"total_iter": 1}), tmp_path / "run")
        (tmp_path / "run/mine.txt").write_text("kept")
    archived = [p for p in tmp_path.glob("run_archived_*") if "_tb" not in p.name]
    assert len(archived) == 2
    assert all((p / "mine.txt").read_text() == "kept" for p in archived)
    assert (tmp_path / "run/mine.txt").exists()


def test_the_users_folders_are_left_alone(make_options, tmp_path):
    for name in ("run", "events"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "holiday.jpg").touch()
    with pytest.raises(ValueError, match="left as they are"):
        run(make_options(), tmp_path / "run")
    with pytest.raises(ValueError, match=r"events.out.tfevents.\*\), got .*events"):
        train(make_options(), folder=tmp_path / "other", tb_folder=tmp_path / "events")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["holiday.jpg"]
    assert [path.name for path in (tmp_path / "events").iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize("both", [False, True])
def test_a_tensorboard_that_cannot_start_is_said(make_options, tmp_path, monkeypatch, both):
    conflict = "pip uninstall -y tb-nightly" if both else None
    monkeypatch.setattr(prepared_module, "tensorboard_conflict", lambda: conflict)
    run(make_options(train={"total_iter": 1}, logger={"use_tb_logger": True}), tmp_path / "run")
    assert ("pip uninstall" in (tmp_path / "run/train.log").read_text()) == both


def test_auto_resume_without_a_state_starts(make_options, tmp_path):
    run(make_options(train={"total_iter": 1}), tmp_path / "run", auto_resume=True)
    assert curve(tmp_path / "run")


def test_checkpoints_in_basicsrs_layout(make_options, tmp_path, images):
    both = make_options().datasets.train.model_dump(exclude_unset=True)
    options = make_options(
        train={"ema_decay": 0.5},
        datasets={"train": both, "val": {"dataroot_gt": str(images), "sigma_test": [25]}},
        val={"val_freq": 2, "metrics": ["psnr"]},
    )
    last = run(options, tmp_path / "run")
    assert last == tmp_path / "run/models/net_g_latest.pth"
    names = {p.name for p in (tmp_path / "run/models").iterdir()}
    assert names == {f"net_g_{label}.pth" for label in (3, 6, "latest", "best")}
    network = train_recipe.build_network(options.network_g)
    for name in names:
        content = torch.load(tmp_path / "run/models" / name, weights_only=True)
        assert set(content) == {"params", "params_ema", "network_g"}
        assert content["network_g"] == options.network_g
        network.load_state_dict(content["params"])
        network.load_state_dict(content["params_ema"])
    assert {p.name for p in (tmp_path / "run/training_states").iterdir()} == {"3.state", "6.state"}


def test_resumed_curve_replaces_rows_behind_the_checkpoint(make_options, tmp_path):
    run(make_options(), tmp_path / "run")
    whole = (tmp_path / "run/curves.csv").read_text()
    (tmp_path / "run/training_states/6.state").unlink()
    run(make_options(), tmp_path / "run", auto_resume=True)
    assert (tmp_path / "run/curves.csv").read_text() == whole
    assert whole.splitlines()[0] == "step,lr,grad_norm,total,MAE"


def test_folder_explains_its_run(make_options, tmp_path):
    run(make_options(), tmp_path / "run")
    assert "name: run" in (tmp_path / "run/options.yml").read_text()
    environment = (tmp_path / "run/environment.json").read_text()
    for word in ('"seed": 7', '"torch"', '"device": "cpu', '"processes": 1'):
        assert word in environment
    log = (tmp_path / "run/train.log").read_text()
    assert "[6/6] lr" in log
    assert "trained:" in log


def test_run_says_what_it_has_less_of_than_was_asked(make_options):
    def said(num_gpu, processes, device=CPU):
        prepared = train_recipe.prepare(make_options(num_gpu=num_gpu), CPU)
        return opening(prepared, device, processes)

    first, no_gpu = said(8, 1)
    assert re.fullmatch(r"Restormer of [\d,]+ parameters on cpu, 3 images, step 0 of 6", first)
    assert "num_gpu is 8, but torch finds no GPU" in no_gpu
    gpu = torch.device("cuda", 0)
    assert "num_gpu is 8, but 1 process(es) train" in said(8, 1, gpu)[1]
    assert [len(said(n, 1, gpu)) for n in (1, "auto")] == [1, 1]
    assert [len(said(n, 1)) for n in (0, "auto")] == [1, 1]


def test_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.pth"
    checkpoint.save_atomically({"a": 1}, path)

    def half(content, part):
        part.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save_atomically({"a": 2}, path)
    monkeypatch.undo()
    assert torch.load(path, weights_only=True) == {"a": 1}


def test_full_disk_is_an_error_of_the_systems(tmp_path, monkeypatch):
    """Torch's writer says RuntimeError there, of a position in its file."""

    def half(content, part):
        part.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")

    monkeypatch.setattr(checkpoint.torch, "save", half)
    with pytest.raises(OSError, match=r"file.pth cannot be written: is the disk full\?"):
        checkpoint.save_atomically({"a": 1}, tmp_path / "file.pth")
    layer = nn.Linear(1, 1)
    with pytest.raises(OSError, match="mask.state cannot be written"):
        save_progress(tmp_path / "mask.state", layer, torch.optim.SGD(layer.parameters()), 1)
    assert not list(tmp_path.iterdir())


def test_debug_shortens(make_options, images):
    options = for_debugging(make_options(datasets={"val": {"dataroot_gt": str(images)}}))
    assert options.train.total_iter == options.val.val_freq == 6
    assert options.datasets.test["val"].max_images == 1
    options = for_debugging(make_options(train={"total_iter": 1000}))
    assert options.name == "debug_run"
    assert options.train.total_iter == options.val.val_freq == 8
    assert options.logger.print_freq == 1


# ------------------------------------------------------------------ small parts


def test_running_means():
    means = RunningMeans()
    means.add({"a": torch.tensor(1.0)})
    means.add({"a": torch.tensor(2.0)})
    later = RunningMeans()
    later.restore(means.state())
    later.add({"a": torch.tensor(6.0)})
    assert means.read() == {"a": 1.5}
    assert later.read() == {"a": 3.0}
    assert means.count == 0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00:00"), (59.6, "0:01:00"), (7325, "2:02:05")]
)
def test_clock(seconds, text):
    assert clock(seconds) == text


def test_slow_data_is_said(caplog, monkeypatch):
    monkeypatch.setattr("restoration.train.monitor.logger.propagate", True)
    monitor = Monitor(Console(quiet=True), None, None, 0, 4, ["MAE"], 2)
    value = torch.tensor(1.0)
    caplog.set_level("INFO", "restoration")
    with monitor:
        for step in range(4):
            monitor.step(StepResult(step, {"total": value, "MAE": value}, 0.1, value, 10.0))
    assert "the loader is the bottleneck" in caplog.text


def test_basicsr_loss_as_a_term():
    pytest.importorskip("basicsr")
    terms = [{"type": "CharbonnierLoss", "weight": 0.5, "eps": 0.01}, {"type": "MAE"}]
    criterion = build_criterion(terms)
    x, y = torch.rand(1, 3, 8, 8, requires_grad=True), torch.rand(1, 3, 8, 8)
    total, values = criterion(x, y)
    assert set(values) == {"CharbonnierLoss", "MAE"}
    smooth = ((x - y).square() + 0.01).sqrt().mean()
    torch.testing.assert_close(total, 0.5 * smooth + (x - y).abs().mean())
    with pytest.raises(ValueError, match="loss CharbonnierLoss of BasicSR"):
        build_criterion([{"type": "CharbonnierLoss", "colour": 1}])


def test_steps_that_fp16_skips_are_not_in_the_mean(tmp_path, caplog):
    """An overflow changes no weights: its infinite norm says nothing of the gradients."""
    from rich.console import Console

    from restoration.train.monitor import Monitor

    caplog.set_level("INFO", logger="restoration")
    tmp_path.joinpath("run").mkdir()
    monitor = Monitor(Console(quiet=True), tmp_path / "run", None, 0, 4, ["MAE"], 4)
    one = {"total": torch.tensor(1.0), "MAE": torch.tensor(1.0)}
    with monitor:
        for step, norm in enumerate([2.0, float("inf"), 4.0, float("nan")]):
            norm = torch.tensor(norm)
            monitor.step(StepResult(step, one, 0.1, norm, 0.0, skipped=~norm.isfinite()))
    assert curve(tmp_path / "run", "grad_norm") == [3.0]
    assert "fp16 overflowed in 2 steps" in caplog.text
