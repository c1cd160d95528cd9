"""Options that make no sense, and texts that would hang or overflow, are one short line."""

import copy

import pytest
import torch
import yaml

from restoration.cli import main
from restoration.options.load import override, validate
from restoration.options.parse import DEEPEST, parse_yaml
from restoration.train import run as train_recipe

OPTIONS = {
    "name": "run",
    "num_gpu": 0,
    "datasets": {"train": {"dataroot_gt": "images"}, "val": {"dataroot_gt": "images"}},
    "network_g": {"type": "Restormer"},
    "train": {"total_iter": 6, "losses": [{"type": "MAE"}]},
}
INF, NAN = float("inf"), float("nan")
COSINE = {"type": "TrueCosineAnnealingLR", "T_max": 6}
STEPS = {"type": "MultiStepLR", "milestones": [2]}
STAGE = {"dataroot_gt": "images", "mini_batch_sizes": [1], "iters": [6], "gt_sizes": [16]}
CASES = [
    ("val.metrics", {"psnr": {"type": 5}}),
    ("val.metrics", [{"type": "psnr", "name": ["a"]}]),
    ("name", ["a"]),
    ("datasets.train.gt_size", INF),
    ("datasets.train", STAGE | {"gt_sizes": [2**64]}),
    ("datasets.train", STAGE | {"iters": [2**64]}),
    ("datasets.train.cache_gb", INF),
    ("datasets.train.num_worker_per_gpu", 100_000),
    ("datasets.train.batch_size_per_gpu", 10**9),
    ("datasets.train.sigma_range", NAN),
    ("datasets.val.sigma_test", [True]),
    ("datasets.val.max_images", True),
    ("train.total_iter", 1e18),
    ("train.total_iter", True),
    ("train.optim_g", {"lr": True}),
    ("train.optim_g", {"lr": INF}),
    ("train.optim_g", {"weight_decay": INF}),
    ("train.optim_g", {"betas": [NAN, 0.9]}),
    ("train.ema_decay", NAN),
    ("train.grad_clip_norm", INF),
    ("train.warmup_iter", -7),
    ("train.scheduler", COSINE | {"eta_min": -1e-6}),
    ("train.scheduler", STEPS | {"gamma": -1}),
    ("train.losses.0.weight", 0),
    ("train.losses.0.weight", 1e38),
    ("train.losses.0.weight", True),
    ("train.losses.0.weight", INF),
    ("train.losses.0.name", "total"),
    ("train.losses.0.name", ["a"]),
    ("train.pixel_opt", {"type": ["L1Loss"]}),
    ("train.pixel_opt", {"type": "L1Loss", "loss_weight": 0}),
    ("train.pixel_opt", {"type": "CharbonnierLoss", "eps": [1]}),
    ("num_gpu", -3),
    ("num_gpu", True),
    ("val.tile", 1),
    ("val.window_size", 10**9),
    ("network_g", {"type": 5}),
    ("train." + "x" * 3000, 1),
    ("datasets.train", dict.fromkeys(map(str, range(300)), 1)),
]


def with_value(path, value):
    options = copy.deepcopy(OPTIONS)
    *keys, last = path.split(".")
    section = options
    for key in keys:
        section = section[int(key)] if key.isdigit() else section.setdefault(key, {})
    section[last] = value
    return options


@pytest.mark.parametrize(("path", "value"), CASES, ids=lambda one: str(one)[:40])
def test_values_without_a_meaning(path, value, tmp_path, capsys):
    file = tmp_path / "options.yml"
    file.write_text(yaml.safe_dump(with_value(path, value)))
    assert main(["train", "-opt", str(file)]) == 2
    said = capsys.readouterr().err.strip()
    assert len(said) <= 500 and "\n" not in said
    assert f"`{path.partition('.')[0]}" in said, "the option is named"


def test_the_options_of_the_cases_are_right_without_them():
    assert validate(OPTIONS).train.total_iter == 6


def test_a_validation_without_metrics(pictures):
    images = {"dataroot_gt": str(pictures(1, side=24))}
    sets = {"train": images | {"gt_size": 16}, "val": images}
    options = validate(OPTIONS | {"datasets": sets, "val": {"metrics": []}})
    with pytest.raises(ValueError, match="val.metrics: expected a metric"):
        train_recipe.prepare(options, torch.device("cpu"))


def bomb(levels=11):
    lines = [f"b0: &b0 [{', '.join('x' * 9)}]"]
    lines += [f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "{" + ", ".join(lines) + "}"


TEXTS = {
    "a bomb of aliases": (f"train: {{losses: [{{type: MAE, eps: {bomb()}}}]}}", "aliases included"),
    "nesting": ("a: " + "[" * 5000 + "]" * 5000, "levels of nesting"),
    "nesting in blocks": ("\n".join(" " * n + "a:" for n in range(2000)), "levels of nesting"),
    "a loop": ("&a {name: *a}", "stands inside of what it repeats"),
    "a date": ("!!timestamp 2020-99-99", "month"),
    "a number": ("a: " + "9" * 5000, "4300 digits"),
}


@pytest.mark.parametrize(("text", "message"), TEXTS.values(), ids=TEXTS)
def test_texts_that_would_hang_or_overflow(text, message):
    with pytest.raises(ValueError, match=f"not valid YAML: .*{message}") as caught:
        parse_yaml(text)
    assert len(str(caught.value)) < 500


def test_overrides_are_not_nested_without_end():
    with pytest.raises(ValueError, match="expected KEY:KEY=VALUE"):
        override({}, [":".join("a" * (DEEPEST + 1)) + "=1"])


def test_basicsrs_sr_model_clips_no_gradient_unless_told():
    def clips(**sections):
        return validate(OPTIONS | {"model_type": "SRModel"} | sections).train.use_grad_clip

    assert validate(OPTIONS).train.use_grad_clip
    assert not clips()
    assert clips(train=OPTIONS["train"] | {"grad_clip_norm": 0.1})
    assert clips(train=OPTIONS["train"] | {"use_grad_clip": True})


def test_random_noise_has_two_ends():
    def train_set(**keys):
        return validate(with_value("datasets.train", {"dataroot_gt": "images", **keys}))

    assert train_set(sigma_range=25).datasets.train.sigma_type == "constant"
    with pytest.raises(ValueError, match="two numbers, and `constant` where it is one"):
        train_set(sigma_range=25, sigma_type="random")
