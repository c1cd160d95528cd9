"""Weights given as shares: measured once, written down, and trained with like numbers."""

import logging

import pytest
import torch
from tiny import tiny_options

from restoration.options.load import load_options, validate
from restoration.options.training import Share
from restoration.train.api import train
from restoration.train.loss_table import loss_table
from restoration.train.run import prepare
from restoration.train.shares import adopt_weights, measure

CPU = torch.device("cpu")
SHARE = [{"type": "MAE", "weight": 2.0}, {"type": "MSE", "weight": {"share": 0.3}}]


@pytest.fixture(scope="module")
def images(pictures):
    return pictures(3, side=24, name="shares")


@pytest.fixture
def make_options(images):
    """Options of a run of two steps with some losses."""

    def make(losses, **train):
        section = {"total_iter": 2, "losses": losses, "optim_g": {"lr": 1e-3}} | train
        log = {"print_freq": 1, "save_checkpoint_freq": 1, "use_tb_logger": False}
        options = tiny_options(images) | {"name": "run", "train": section, "logger": log}
        return validate(options)

    return make


def run(options, folder, resume=False):
    return train(
        options, folder=folder, tb_folder=folder.with_name("tb"), device="cpu", resume=resume
    )


def weight_of(options):
    return options.train.losses[1].weight


def test_a_share_becomes_the_weight_that_gives_it(make_options):
    prepared = prepare(make_options(SHARE), CPU)
    share = weight_of(prepared.options)
    assert (share.share, prepared.trainer.criterion.weights["MAE"]) == (0.3, 2.0)
    assert share.value == prepared.trainer.criterion.weights["MSE"]
    measured = measure(prepared.trainer, prepared.dataset, prepared.patches)
    pulls = {n: prepared.trainer.criterion.weights[n] * measured[n].norm for n in measured}
    assert pulls["MSE"] / sum(pulls.values()) == pytest.approx(0.3, rel=1e-5)


def test_measuring_changes_nothing_and_repeats(make_options):
    plain = make_options([SHARE[0], {"type": "MSE", "weight": 1.0}])
    before, measured = prepare(plain, CPU), prepare(make_options(SHARE), CPU)
    states = [one.trainer.network.state_dict() for one in (before, measured)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert weight_of(prepare(make_options(SHARE), CPU).options) == weight_of(measured.options)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_first_batches_of_the_training_are_measured(make_options, accumulate, monkeypatch):
    prepared = prepare(make_options(SHARE, accumulate=accumulate), CPU)
    drawn = []
    read = type(prepared.dataset).__getitem__
    monkeypatch.setattr(
        type(prepared.dataset),
        "__getitem__",
        lambda self, key: drawn.append(key[0]) or read(self, key),
    )
    measure(prepared.trainer, prepared.dataset, prepared.patches, accumulate, num_batches=4)
    assert drawn == [0, 1, 2, 3]


def test_a_run_writes_its_weights_and_trains_with_them(make_options, tmp_path):
    run(make_options(SHARE), tmp_path / "share")
    resolved = load_options(tmp_path / "share" / "options.yml")
    share = weight_of(resolved)
    assert share.value is not None
    assert float(f"{share.value:.6g}") == share.value
    number = make_options([SHARE[0], {"type": "MSE", "weight": share.value}])
    run(number, tmp_path / "number")
    run(resolved, tmp_path / "again")
    first, *others = (
        torch.load(tmp_path / name / "models" / "net_g_latest.pth", weights_only=True)["params"]
        for name in ("share", "number", "again")
    )
    for other in others:
        assert all(torch.equal(first[name], other[name]) for name in first)


def test_a_run_that_goes_on_keeps_its_weights(make_options, tmp_path, caplog):
    folder = tmp_path / "out"
    run(make_options(SHARE), folder)
    file = folder / "options.yml"
    value = weight_of(load_options(file)).value
    file.write_text(file.read_text().replace(str(value), "0.125"))  # as another machine measured
    with caplog.at_level(logging.INFO):
        run(make_options(SHARE, total_iter=3), folder, resume=True)
    assert weight_of(load_options(file)) == Share(share=0.3, value=0.125)
    assert "changed since: train.total_iter 2 -> 3" in caplog.text


def test_another_loss_is_measured_anew(make_options, tmp_path):
    run(make_options(SHARE), tmp_path / "out")
    for first, share in ((2.0, 0.5), (1.0, 0.3)):
        terms = [{"type": "MAE", "weight": first}, {"type": "MSE", "weight": {"share": share}}]
        assert weight_of(adopt_weights(make_options(terms), tmp_path / "out")).value is None
    assert weight_of(adopt_weights(make_options(SHARE), tmp_path / "out")).value is not None
    assert weight_of(adopt_weights(make_options(SHARE), tmp_path / "none")).value is None


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ([{"type": "MAE", "weight": {"share": 0.3}}], "beside a term whose weight is a number"),
        (
            [{"type": kind, "weight": {"share": 0.5}} for kind in ("MSE", "SSIM")]
            + [{"type": "MAE"}],
            "sum to less than 1.*got 0.5, 0.5",
        ),
        ([{"type": "MAE"}, {"type": "MSE", "weight": {"share": 1.5}}], "between 0 and 1"),
        ([{"type": "MAE"}, {"type": "MSE", "weight": {"part": 0.5}}], "such as {share: 0.3}"),
    ],
)
def test_wrong_shares_are_refused(make_options, terms, message):
    with pytest.raises(ValueError, match=message):
        make_options(terms)


def test_the_log_and_tensorboard_show_the_shares(make_options, tmp_path, caplog):
    options = make_options(SHARE)
    options.logger.use_tb_logger = True
    with caplog.at_level(logging.INFO):
        run(options, tmp_path / "out")
    assert "share of the gradient: MAE 7" in caplog.text
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(tmp_path / "tb")).Reload()
    shares = [events.Scalars(f"train/share/{name}") for name in ("MAE", "MSE")]
    assert [one.step for one in shares[0]] == [1, 2]
    for mae, mse in zip(*shares, strict=True):
        assert mae.value + mse.value == pytest.approx(1)
        assert mse.value == pytest.approx(0.3, abs=0.1)


def test_a_single_term_has_no_shares(make_options, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        run(make_options([{"type": "MAE"}]), tmp_path / "out")
    assert "share of the gradient" not in caplog.text


def test_loss_table(make_options):
    mae, mse = loss_table(make_options(SHARE), CPU, num_batches=4)
    assert (mae.name, mae.weight, mse.name) == ("MAE", 2.0, "MSE")
    assert (mae.share, mse.share) == (pytest.approx(0.7, rel=1e-4), pytest.approx(0.3, rel=1e-4))
    assert mse.weight * mse.norm / (mae.weight * mae.norm) == pytest.approx(3 / 7, rel=1e-4)
    assert mae.weight_for_equal == 2.0
    assert mse.weight_for_equal * mse.norm == pytest.approx(2.0 * mae.norm)
    assert 0 < mse.value < mae.value
