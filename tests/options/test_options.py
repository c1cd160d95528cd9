import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from restoration.compare.plan import load_comparison
from restoration.masks.options import MaskOptions, load_ablation
from restoration.options.load import (
    dump_yaml,
    ignored_keys,
    load_options,
    merge,
    models_in,
    override,
    plain,
    read_mapping,
    validate,
)
from restoration.options.parse import parse_yaml
from restoration.options.schema import Options
from restoration.options.shipped import shipped_options
from restoration.options.training import LossTerm, from_basicsr

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "options").rglob("*.yml"))


def smallest() -> dict[str, Any]:
    return {
        "name": "run",
        "datasets": {
            "train": {"dataroot_gt": "train"},
            "kodak": {"dataroot_gt": "test"},
        },
        "network_g": {"type": "Restormer"},
        "train": {"total_iter": 10, "losses": [{"type": "MAE"}]},
    }


def with_value(path: str, value: Any) -> dict[str, Any]:
    """The smallest options with one value set, by a path such as `train.losses.0.weight`."""
    mapping = smallest()
    *above, last = path.split(".")
    here: Any = mapping
    for key in above:
        here = here[int(key)] if key.isdigit() else here.setdefault(key, {})
    here[last] = value
    return mapping


def written(folder: Path, mapping: Any, name: str = "run.yml") -> Path:
    path = folder / name
    path.write_text(mapping if isinstance(mapping, str) else yaml.safe_dump(mapping))
    return path


# ------------------------------------------------------------------ unknown keys


def sections(model: type[BaseModel], prefix: str = "") -> list[tuple[str, str]]:
    """Every (path, key) of the strict sections, found without the code under test."""
    found = []
    for name, field in model.model_fields.items():
        if model.model_config.get("extra") == "forbid":
            found.append((prefix, name))
        for child in models_in(field.annotation):
            if child is not LossTerm:
                found += sections(child, f"{prefix}{name}.")
    return found


MISSPELT = [
    *sections(Options),
    ("datasets.kodak.", "sigma_test"),
    ("datasets.kodak.", "max_images"),
    ("datasets.kodak.", "dataroot_gt"),
    ("datasets.kodak.io_backend.", "type"),
]


def test_walk_reaches_every_section():
    paths = {prefix for prefix, _ in MISSPELT}
    assert {"", "datasets.train.", "train.mixing_augs.", "logger."} <= paths
    assert len(MISSPELT) > 60


@pytest.mark.parametrize(("prefix", "key"), MISSPELT, ids="".join)
def test_misspelt_key_is_named_with_the_nearest(prefix, key):
    wrong = key[0] + key  # nname, ttype
    with pytest.raises(ValueError) as caught:
        validate(with_value(f"{prefix}{wrong}", 1))
    message = str(caught.value)
    assert f"unknown option `{prefix}{wrong}`" in message
    assert f"did you mean `{key}`?" in message
    assert "\n" not in message


def test_unlike_key_lists_the_known():
    with pytest.raises(ValueError, match="unknown option `logger.zzz`; known here: print_freq, "):
        validate(with_value("logger.zzz", 1))


def test_several_mistakes_at_once():
    mapping = with_value("trian", {})
    mapping["logger"] = {"print_freqq": 3}
    with pytest.raises(ValueError, match="`logger.print_freqq`.*; unknown option `trian`"):
        validate(mapping)


# ------------------------------------------------------------------ wrong values


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("datasets.train.sigma_range", [0, 256], r"datasets.train`: .*\[0, 255\], got \[0"),
        ("datasets.train.sigma_range", -1, r"\[0, 255\], got -1"),
        ("datasets.train.sigma_range", [30, 10], r"\[low, high\]"),
        ("datasets.train.sigma_range", [1, 2, 3], "one or two numbers"),
        ("datasets.train.sigma_range", [], "one or two numbers"),
        ("datasets.train.sigma_range", "abc", r"`datasets.train.sigma_range`: .*got 'abc'"),
        ("datasets.train.iters", [1, 2], "go together"),
        ("datasets.train.io_backend", {"type": "lmdb"}, "ends in .lmdb, got train"),
        ("datasets.kodak.io_backend", {"type": "lmdb"}, "ends in .lmdb, got test"),
        ("datasets.kodak.sigma_test", [15, 300], r"`datasets.kodak.sigma_test`: .*got 300"),
        ("datasets.kodak.sigma_test", [], "at least one noise level"),
        ("datasets.kodak.sigma_test", [15, 25, 15.0], "every noise level once"),
        ("datasets.kodak.name", "average", "mean over sets"),
        ("datasets.kodak.max_images", 0, "`datasets.kodak.max_images`"),
        ("train.total_iter", 0, "`train.total_iter`: .*got 0"),
        ("train.losses", [], "no loss"),
        ("train.losses.0.weight", "x", "`train.losses.0.weight`"),
        ("train.losses", [{"weight": 1.0}], "`train.losses.0.type` is missing"),
        (
            "train.losses.0.precision",
            "fp8",
            "`train.losses.0.precision`: .*'float32' or 'bf16', got 'fp8'",
        ),
        ("train.losses.0.compile", "perhaps", "`train.losses.0.compile`"),
        ("train.pixel_opt", {"loss_weight": 1.0}, "needs a `type`"),
        ("train.pixel_opt", {"type": "L1Loss", "reduction": "sum"}, "reduction: mean"),
        ("train.optim_g.betas", [0.9, 1.0], "`train.optim_g.betas`: expected betas in"),
        ("train.scheduler", {"type": "CosineAnnealingRestartLR"}, "needs periods"),
        (
            "train.scheduler",
            {"type": "CosineAnnealingRestartLR", "periods": [9], "eta_mins": [0.0]},
            "eta_mins has no effect",
        ),
        (
            "train.scheduler",
            {
                "type": "CosineAnnealingRestartCyclicLR",
                "periods": [9],
                "eta_mins": [0.0],
                "eta_min": 1e-6,
            },
            "eta_min has no effect",
        ),
        ("train.scheduler", {"type": "MultiStepLR"}, "needs milestones"),
        ("train.scheduler", {"milestones": [5]}, "milestones has no effect on this ConstantLR"),
        (
            "train.scheduler",
            {"type": "CosineAnnealingRestartCyclicLR", "periods": [3], "eta_mins": [0, 0]},
            "eta_mins needs one number per period, 1",
        ),
        ("train.ema_decay", 1.0, "`train.ema_decay`"),
        ("network_g", {"dim": 8}, "`network_g`: needs a `type`"),
        ("name", "", "`name`"),
        ("scale", 2, "`scale`"),
        ("val.metrics", 3, "`val.metrics`"),
        ("val.tile", 16, "tile_overlap 32 needs to be below tile 16"),
    ],
)
def test_wrong_value_is_refused(path, value, message):
    with pytest.raises(ValueError, match=message) as caught:
        validate(with_value(path, value))
    assert str(caught.value).count("; ") == 0, "one mistake, one phrase"


def test_precision_of_a_term_reaches_it_only_where_it_is_given():
    own = {"type": "VGG", "weight": 1.0, "precision": "bf16", "compile": True}
    options = validate(with_value("train.losses", [{"type": "MAE"}, own]))
    assert options.train.terms() == [{"type": "MAE", "weight": 1.0}, own]


def test_missing_key():
    mapping = smallest()
    del mapping["datasets"]["train"]["dataroot_gt"]
    with pytest.raises(ValueError, match="option `datasets.train.dataroot_gt` is missing"):
        validate(mapping)


def test_constant_and_chosen_noise():
    mapping = with_value("datasets.train.sigma_type", "constant")
    mapping["datasets"]["train"]["sigma_range"] = [0, 50]
    with pytest.raises(ValueError, match="one number for `constant`"):
        validate(mapping)
    mapping["datasets"]["train"]["sigma_range"] = 25
    assert validate(mapping).datasets.train.sigmas == [25]
    mapping["datasets"]["train"] |= {"sigma_type": "choice", "sigma_range": [50, 15, 25]}
    assert validate(mapping).datasets.train.sigmas == [50, 15, 25]


def test_two_sets_of_one_name_are_refused():
    mapping = smallest()
    mapping["datasets"]["urban"] = {"dataroot_gt": "other", "name": "kodak"}
    with pytest.raises(ValueError, match="2 test sets need 2 names"):
        validate(mapping)


def test_set_names():
    mapping = smallest()
    mapping["datasets"]["val"] = {"dataroot_gt": "other", "name": "ValSet"}
    assert list(validate(mapping).datasets.test) == ["kodak", "ValSet"]


def test_luma_metrics():
    options = validate(with_value("val.metrics", {"psnr": {"test_y_channel": True}}))
    assert options.val.metric_specs == [{"type": "psnr", "name": "psnr", "test_y_channel": True}]
    options = validate(with_value("val.metrics", {"psnr": {"test_y_channel": False}}))
    assert options.val.metric_specs == [{"type": "psnr", "name": "psnr"}]


# ------------------------------------------------------------------ Restormer's dialect

RESTORMER = """
# Gaussian colour denoising in the words of Restormer's own option files
name: colour_denoising
model_type: ImageCleanModel
scale: 1
num_gpu: 8
manual_seed: 100

datasets:
  train:
    name: TrainSet
    type: Dataset_GaussianDenoising
    sigma_type: random
    sigma_range: [0, 50]
    in_ch: 3
    dataroot_gt: ./data/train
    dataroot_lq: none
    geometric_augs: true
    filename_tmpl: '{}'
    io_backend:
      type: disk
    use_shuffle: true
    num_worker_per_gpu: 8
    batch_size_per_gpu: 8
    mini_batch_sizes: [8, 5, 4, 2, 1, 1]
    iters: [92000, 64000, 48000, 36000, 36000, 24000]
    gt_size: 384
    gt_sizes: [128, 160, 192, 256, 320, 384]
    dataset_enlarge_ratio: 1
    prefetch_mode: ~
  val:
    name: ValSet
    type: Dataset_GaussianDenoising
    sigma_test: 25
    in_ch: 3
    dataroot_gt: ./data/val
    dataroot_lq: none
    io_backend:
      type: disk

network_g:
  type: Restormer
  inp_channels: 3
  out_channels: 3
  dim: 48
  num_blocks: [4, 6, 6, 8]
  num_refinement_blocks: 4
  heads: [1, 2, 4, 8]
  ffn_expansion_factor: 2.66
  bias: False
  LayerNorm_type: BiasFree
  dual_pixel_task: False

path:
  pretrain_network_g: ~
  strict_load_g: true
  resume_state: ~

train:
  total_iter: 300000
  warmup_iter: -1
  use_grad_clip: true
  scheduler:
    type: CosineAnnealingRestartCyclicLR
    periods: [92000, 208000]
    restart_weights: [1, 1]
    eta_mins: [0.0003, 0.000001]
  mixing_augs:
    mixup: true
    mixup_beta: 1.2
    use_identity: true
  optim_g:
    type: AdamW
    lr: !!float 3e-4
    weight_decay: !!float 1e-4
    betas: [0.9, 0.999]
  pixel_opt:
    type: L1Loss
    loss_weight: 1
    reduction: mean

val:
  window_size: 8
  val_freq: !!float 4e3
  save_img: false
  rgb2bgr: true
  use_image: false
  max_minibatch: 8
  metrics:
    psnr:
      type: calculate_psnr
      crop_border: 0
      test_y_channel: false

logger:
  print_freq: 1000
  save_checkpoint_freq: !!float 4e3
  use_tb_logger: true
  wandb:
    project: ~
    resume_id: ~

dist_params:
  backend: nccl
  port: 29500
"""


def test_restormer_dialect(tmp_path):
    options = load_options(written(tmp_path, RESTORMER))
    images = options.datasets.train
    assert images.stages[1:] == ([8, 5, 4, 2, 1, 1], [128, 160, 192, 256, 320, 384])
    assert sum(images.stages[0]) == options.train.total_iter == 300_000
    assert images.sigmas == [0, 50]
    assert options.datasets.test["ValSet"].sigma_test == [25]
    assert options.train.terms() == [{"type": "MAE", "weight": 1}]
    assert options.train.optim_g.lr == 3e-4
    assert options.train.optim_g.weight_decay == 1e-4
    assert options.train.scheduler.eta_mins == [3e-4, 1e-6]
    assert options.train.use_grad_clip
    assert options.train.grad_clip_norm == 0.01  # what Restormer's code has built in
    assert options.train.mixing_augs.mixup_beta == 1.2
    assert options.val.val_freq == options.logger.save_checkpoint_freq == 4000
    assert options.val.metric_specs == [{"type": "psnr", "name": "psnr", "crop_border": 0}]
    assert options.network_g["heads"] == [1, 2, 4, 8]


def test_keys_without_effect_are_listed(tmp_path):
    ignored = ignored_keys(load_options(written(tmp_path, RESTORMER)))
    assert sorted(ignored) == sorted(
        [
            "datasets.train.use_shuffle",
            "datasets.train.dataset_enlarge_ratio",
            "datasets.train.prefetch_mode",
            "val.rgb2bgr",
            "val.use_image",
            "val.max_minibatch",
            "dist_params.port",
        ]
    )
    assert ignored_keys(validate(smallest())) == []


@pytest.mark.parametrize(
    ("option", "term"),
    [
        ({"type": "L1Loss"}, {"type": "MAE"}),
        ({"type": "MSELoss", "loss_weight": 2}, {"type": "MSE", "weight": 2}),
        ({"type": "PSNRLoss", "reduction": "mean"}, {"type": "PSNR"}),
        ({"type": "CharbonnierLoss", "eps": 1e-6}, {"type": "Charbonnier", "eps": 1e-3}),
        ({"type": "CharbonnierLoss"}, {"type": "Charbonnier", "eps": 1e-6}),
        (
            {"type": "PerceptualLoss", "criterion": "l1", "reduction": "sum"},
            {"type": "PerceptualLoss", "criterion": "l1", "reduction": "sum"},
        ),
    ],
)
def test_basicsr_losses_become_terms(option, term):
    assert from_basicsr(option) == pytest.approx(term)


# ------------------------------------------------------------------ YAML


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("3E5", 3e5),
        ("-1e+2", -100.0),
        (".5e1", 5.0),
        ("1.e3", 1e3),
        ("!!float 3e-4", 3e-4),
        ("7", 7),
        ("e-4", "e-4"),
        ("1e", "1e"),
        ("~", None),
    ],
)
def test_numbers(text, value):
    found = parse_yaml(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['true']",
        "!!python/name:os.system",
        "!!python/tuple [1, 2]",
        "name: [1, 2",
        "name: a\nname: b",
        "{x: {y: 1, y: 2}}",
    ],
)
def test_unsafe_or_broken_yaml_is_refused(tmp_path, text):
    with pytest.raises(ValueError, match="not valid YAML: ") as caught:
        load_options(written(tmp_path, text))
    assert str(tmp_path / "run.yml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_anchors_still_work():
    assert parse_yaml("a: &x {k: 1, m: 2}\nb:\n  <<: *x\n  k: 3")["b"] == {"k": 3, "m": 2}


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no.yml does not exist"):
        load_options(tmp_path / "no.yml")


def test_not_a_mapping(tmp_path):
    with pytest.raises(ValueError, match="expected a mapping"):
        load_options(written(tmp_path, "- 1\n- 2"))


def test_error_names_the_file(tmp_path):
    path = written(tmp_path, with_value("nam", 1))
    with pytest.raises(ValueError, match="run.yml: unknown option `nam`; did you mean `name`"):
        load_options(path)


# ------------------------------------------------------------------ inheritance, overrides


def test_merge():
    base = {"a": {"x": 1, "y": {"z": 2}}, "list": [1, 2], "keep": 0}
    over = {"a": {"y": {"w": 3}}, "list": [9]}
    assert merge(base, over) == {"a": {"x": 1, "y": {"z": 2, "w": 3}}, "list": [9], "keep": 0}
    assert base["a"] == {"x": 1, "y": {"z": 2}}, "the base is left as it was"


def test_merge_of_another_type_replaces():
    base = {"network_g": {"type": "Restormer", "dim": 48}}
    assert merge(base, {"network_g": {"type": "SwinIR", "depths": [2]}})["network_g"] == {
        "type": "SwinIR",
        "depths": [2],
    }
    assert merge(base, {"network_g": {"type": "Restormer", "bias": True}})["network_g"] == {
        "type": "Restormer",
        "dim": 48,
        "bias": True,
    }


def test_base_of_a_base_in_another_folder(tmp_path):
    (tmp_path / "deep").mkdir()
    written(tmp_path, smallest() | {"manual_seed": 1}, "root.yml")
    middle = {"base": "../root.yml", "train": {"total_iter": 20}, "manual_seed": 2}
    written(tmp_path / "deep", middle, "middle.yml")
    leaf = written(tmp_path / "deep", {"base": "middle.yml", "name": "leaf"}, "leaf.yml")
    options = load_options(leaf)
    assert (options.name, options.manual_seed, options.train.total_iter) == ("leaf", 2, 20)
    assert options.train.terms() == [{"type": "MAE", "weight": 1.0}]


def test_base_cycle(tmp_path):
    written(tmp_path, {"base": "b.yml"}, "a.yml")
    written(tmp_path, {"base": "a.yml"}, "b.yml")
    with pytest.raises(ValueError, match="leads back to a.yml"):
        read_mapping(tmp_path / "a.yml")


def test_base_that_is_missing_or_no_path(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone.yml does not exist"):
        read_mapping(written(tmp_path, {"base": "gone.yml"}))
    with pytest.raises(ValueError, match="the path of one file as `base`, got 3"):
        read_mapping(written(tmp_path, {"base": 3}))


def test_force_yml(tmp_path):
    path = written(tmp_path, smallest())
    options = load_options(
        path,
        [
            "train:total_iter=300",
            "train:optim_g:lr=1e-4",
            "datasets:kodak:sigma_test=[15, 50]",
            "path:pretrain_network_g=a=b.pth",
            "network_g:dim=8",
        ],
    )
    assert options.train.total_iter == 300
    assert options.train.optim_g.lr == 1e-4
    assert options.datasets.test["kodak"].sigma_test == [15, 50]
    assert options.path.pretrain_network_g == Path("a=b.pth")
    assert options.network_g == {"type": "Restormer", "dim": 8}
    with pytest.raises(ValueError, match="unknown option `train.total_itr`"):
        load_options(path, ["train:total_itr=300"])


@pytest.mark.parametrize("assignment", ["train:total_iter", "name"])
def test_force_yml_without_value(assignment):
    with pytest.raises(ValueError, match="expected KEY:KEY=VALUE, got"):
        override({}, [assignment])


# ------------------------------------------------------------------ writing


def test_dump_reads_back(tmp_path):
    first = load_options(written(tmp_path, RESTORMER))
    again = load_options(written(tmp_path, dump_yaml(first), "again.yml"))
    assert dump_yaml(again) == dump_yaml(first)
    for key in ("name", "network_g", "train", "logger", "manual_seed", "num_gpu"):
        assert getattr(again, key) == getattr(first, key) or key == "logger"
    assert again.datasets.train.stages == first.datasets.train.stages
    assert ignored_keys(again) == [], "what has no effect is not written"


def test_a_model_that_trains_otherwise_is_refused():
    with pytest.raises(ValueError, match="model_type.*ImageCleanModel.*got 'ESRGANModel'"):
        validate({**smallest(), "model_type": "ESRGANModel"})
    assert validate({**smallest(), "model_type": "SRModel"}).model_type == "SRModel"


def test_dump_keeps_empty_values_of_free_sections(tmp_path):
    mapping = smallest()
    mapping["network_g"]["prior"] = None
    mapping["train"]["losses"] = [{"type": "E-VGG", "masks": None, "taps": [1, 2]}]
    again = load_options(written(tmp_path, dump_yaml(validate(mapping))))
    assert again.network_g == mapping["network_g"]
    assert again.train.losses[0].model_extra == {"masks": None, "taps": [1, 2]}


COMPARISONS = [path for path in SHIPPED if path.parent.name == "compare"]
MASKS = [path for path in SHIPPED if path.parent.name == "masks"]
RUNS = [path for path in SHIPPED if path not in (*COMPARISONS, *MASKS)]


@pytest.mark.parametrize("path", COMPARISONS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_shipped_comparisons(path):
    plan = load_comparison(path)
    assert len(plan.recipes) > 1
    assert all(ignored_keys(recipe.options) == [] for recipe in plan.recipes)


@pytest.mark.parametrize("path", MASKS, ids=lambda p: p.name)
def test_shipped_mask_files(path, tmp_path):
    if path.name == "ablation.yml":
        plan = load_ablation(path)
        assert len(plan.variants) > 9 and plan.settings.test.teachers == "held-out"
        assert (
            plan.variants["level_3"].data.levels == [3] and plan.variants["all"].data.table is None
        )
        return
    options = load_options(path, model=MaskOptions)
    text = dump_yaml(options)
    assert load_options(written(tmp_path, text), model=MaskOptions) == options


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("train.total_itr", 3, "unknown option `train.total_itr`; did you mean `total_iter`"),
        ("metric.type", "e-vg", "option `metric.type`: Input should be 'e-mae'"),
        ("data.held_out_every", 1, "would leave nothing to train on"),
        ("data.levels", [6], "option `data.levels.0`"),
        ("data.type", "kadid10k", "teachers: for `type: pseudo` alone"),
        ("data.own_level", 0, "own_level: for `type: calibrated` alone"),
        ("data.smallest_scale", 0.5, "smallest_scale: for `type: calibrated` alone"),
        ("data.noise_masking", 0.4, "noise_masking: for `type: calibrated` alone"),
        ("data.metrics_share", 0.3, "metrics_share: for `type: calibrated` alone"),
        ("data.texture_every", 12, "texture_every: for `type: calibrated` alone"),
        ("train.total_iter", 0, "train.total_iter: 0 needs `metric.masks` and `train.tap_decay`"),
        ("train.tap_decay", 0.5, "train.tap_decay: e-mae has one mask, on images"),
        ("data.score_range", [0, 1], "direction and score_range are for `type: csv` alone"),
        ("name", "../x", "option `name`"),
    ],
)
def test_mistakes_in_mask_files(path, value, message):
    mapping = {"name": "masks", "data": {"dataroot": "x", "teachers": "held-out"}}
    *above, last = path.split(".")
    here = mapping
    for key in above:
        here = here.setdefault(key, {})
    here[last] = value
    with pytest.raises(ValueError, match=re.escape(message)):
        validate(mapping, MaskOptions)


def test_masked_noise_is_rated_by_no_teachers():
    data = {"type": "calibrated", "dataroot": "x", "noise_masking": 0.4}
    validate({"name": "masks", "data": data}, MaskOptions)
    with pytest.raises(ValueError, match="noise_masking: not with `teachers`"):
        validate({"name": "masks", "data": {**data, "teachers": ["mae"]}}, MaskOptions)


def test_csv_states_its_scores():
    data = {"type": "csv", "dataroot": "x.csv"}
    with pytest.raises(ValueError, match="csv needs `direction`"):
        validate({"name": "masks", "data": data}, MaskOptions)
    data |= {"direction": "MOS", "score_range": [0, 100]}
    assert validate({"name": "masks", "data": data}, MaskOptions).data.dataroots == ["x.csv"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variants": [{"name": "a"}, {"name": "a"}]}, "got twice a"),
        ({"variants": [{"name": "a", "data": {"level": [1]}}]}, "variant a: unknown option"),
        ({"variants": []}, "option `variants`"),
        ({"test": {"dataroot": "y", "held_out_every": 4}}, "all of the test is measured on"),
        ({"trian": {}}, "did you mean `train`"),
    ],
)
def test_mistakes_in_ablations(changes, message, tmp_path):
    mapping = {
        "name": "ablation",
        "data": {"dataroot": "x"},
        "test": {"dataroot": "y"},
        "variants": [{"name": "a"}],
        **changes,
    }
    with pytest.raises(ValueError, match=re.escape(message)):
        load_ablation(written(tmp_path, mapping))


def test_overrides_of_an_ablation_hold_for_every_variant(tmp_path):
    variants = [{"name": "a"}, {"name": "b", "train": {"total_iter": 5}}]
    mapping = {"name": "x", "data": {"dataroot": "x"}, "test": {"dataroot": "y"}}
    path = written(tmp_path, mapping | {"variants": variants})
    assert [v.train.total_iter for v in load_ablation(path).variants.values()] == [1000, 5]
    plan = load_ablation(path, ["train:total_iter=7", "test:size=64"])
    assert [v.train.total_iter for v in plan.variants.values()] == [7, 7]
    assert plan.settings.test.size == 64


@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_shipped_option_files(path, tmp_path):
    if path.parent.name == "compare":
        every = [recipe.options for recipe in load_comparison(path).recipes]
    else:
        every = [load_options(path)]
    for options in every:
        assert ignored_keys(options) == []
        again = load_options(written(tmp_path, dump_yaml(options)))
        assert dump_yaml(again) == dump_yaml(options)


def test_shipped_files_exist():
    assert SHIPPED
    assert shipped_options() == ROOT / "options"
    assert (shipped_options() / "demo.yml") in SHIPPED


def test_schema_is_json():
    schema = json.loads(json.dumps(Options.model_json_schema()))
    assert schema["additionalProperties"] is False
    assert set(Options.model_fields) == set(schema["properties"])


@pytest.mark.parametrize(
    "train",
    [
        {},
        {"sigma_type": "choice", "sigma_range": [15, 25]},
        {"degradation": {"type": "jpeg", "quality": [30, 90]}},
        {"type": "PairedImage", "dataroot_lq": "noisy"},
        {"use_hflip": False, "use_rot": False},
    ],
)
def test_resolved_options_read_back_the_same(train):
    """A run's options.yml is what it can go on from."""
    mapping = smallest()
    mapping["datasets"]["train"] = {"dataroot_gt": "clean"} | train
    mapping["datasets"]["val"] = {"dataroot_gt": "clean"} | {
        key: value for key, value in train.items() if key in ("type", "dataroot_lq")
    }
    mapping["train"]["scheduler"] = {"type": "my_module:Halving", "every": 10}
    options = validate(mapping)
    again = validate(parse_yaml(dump_yaml(options)))
    assert plain(again) == plain(options)
    assert again.train.scheduler.arguments == {"every": 10}
    assert again.datasets.train.geometric_augs == ("use_hflip" not in train)
