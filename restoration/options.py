"""Typed, strict options: BasicSR's YAML dialect, and Restormer's, checked before any work starts.

An unknown key is an error that names its path and the nearest known key. Only safe YAML is read;
`1e-4` is a number. Keys that older option files carry and that have no effect here are accepted
and listed when a run starts.
"""

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    field_validator,
    model_validator,
)

SIGMA_LIMIT = 255.0
AVERAGE_NAME = "average"
BASELINE_NAMES = ("noisy", "nlm")


def _ignored(default: Any, why: str) -> Any:
    return Field(
        default,
        description=f"Accepted, without effect: {why}.",
        json_schema_extra={"ignored": True},
    )


class Strict(BaseModel):
    """A section whose unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), validate_default=True)


class IoBackend(Strict):
    """How images are stored."""

    type: Literal["disk", "lmdb"] = Field("disk", description="`disk` (a folder) or `lmdb`.")


def _check_storage(dataroot: str, storage: IoBackend) -> None:
    if storage.type == "lmdb" and not dataroot.endswith(".lmdb"):
        raise ValueError(f"io_backend lmdb needs a dataroot_gt that ends in .lmdb, got {dataroot}")


class TrainSet(Strict):
    """Training images and how they become samples."""

    name: str = Field("train", description="Name in the log.")
    type: Literal["Dataset_GaussianDenoising", "GaussianDenoising"] = Field(
        "GaussianDenoising", description="Clean images; the noise is made while training."
    )
    dataroot_gt: str = Field(
        description="Folder of clean images (or of the decoded ones of `restoration data prepare "
        "--decoded`, the fastest), a `.lmdb` folder, or `skimage:NAME,NAME` for photographs that "
        "ship inside scikit-image (`NAME@128` for all its crops of 128 pixels)."
    )
    sigma_type: Literal["random", "constant", "choice"] = Field(
        "random",
        description="`random`: uniform in sigma_range (blind); `constant`: its one value; "
        "`choice`: one of its values.",
    )
    sigma_range: list[float] | float = Field(
        [0.0, 50.0],
        description="Noise level, [low, high], or the levels to choose from, in 0..255 units.",
    )
    in_ch: Literal[1, 3] = Field(3, description="Channels of the network's input.")
    geometric_augs: bool = Field(True, description="Random flips and quarter turns.")
    io_backend: IoBackend = Field(IoBackend(), description="How the images are stored.")
    num_worker_per_gpu: int = Field(2, ge=0, description="Loader processes per rank.")
    batch_size_per_gpu: PositiveInt = Field(8, description="Samples per rank and step.")
    gt_size: PositiveInt = Field(128, description="Side of the training patch in pixels.")
    mini_batch_sizes: list[PositiveInt] | None = Field(
        None, description="Progressive training: samples per rank and step in each stage."
    )
    iters: list[PositiveInt] | None = Field(
        None, description="Progressive training: steps of each stage; the last goes on."
    )
    gt_sizes: list[PositiveInt] | None = Field(
        None, description="Progressive training: patch side of each stage."
    )
    cache_gb: float = Field(
        1.0, ge=0, description="Memory per loader process for decoded images, in GB."
    )
    dataroot_lq: str | None = _ignored(None, "the noise is made while training")
    filename_tmpl: str = _ignored("{}", "clean images have no partner file")
    use_shuffle: bool = _ignored(True, "every epoch is a fresh permutation")
    dataset_enlarge_ratio: float = _ignored(1, "the sample stream has no epochs to enlarge")
    prefetch_mode: str | None = _ignored(None, "torch's DataLoader prefetches")

    @model_validator(mode="after")
    def _check(self) -> "TrainSet":
        given = [v for v in (self.mini_batch_sizes, self.iters, self.gt_sizes) if v is not None]
        if given and (len(given) != 3 or len({len(v) for v in given}) != 1):
            raise ValueError("mini_batch_sizes, iters and gt_sizes go together, one length for all")
        _check_storage(self.dataroot_gt, self.io_backend)
        levels, count = self.sigmas, len(self.sigmas)
        if self.sigma_type == "constant" and count != 1:
            raise ValueError(f"sigma_range needs one number for `constant`, got {levels}")
        if self.sigma_type == "random" and count not in (1, 2):
            raise ValueError(f"sigma_range needs one or two numbers, got {levels}")
        if not levels or not 0 <= min(levels) <= max(levels) <= SIGMA_LIMIT:
            raise ValueError(f"sigma_range must lie in [0, 255], got {self.sigma_range}")
        if self.sigma_type == "random" and levels[0] > levels[-1]:
            raise ValueError(f"sigma_range needs [low, high], got {levels}")
        return self

    @property
    def sigmas(self) -> list[float]:
        """The numbers of sigma_range, 0..255 units."""
        return self.sigma_range if isinstance(self.sigma_range, list) else [self.sigma_range]

    @property
    def stages(self) -> tuple[list[int], list[int], list[int]]:
        """Steps, samples per rank, and patch side of each stage."""
        if self.iters is None:
            return [1], [self.batch_size_per_gpu], [self.gt_size]
        return self.iters, self.mini_batch_sizes, self.gt_sizes


class TestSet(Strict):
    """Clean test images; the noise is made by the protocol, seed 0 before every image."""

    __test__ = False  # not a test case, whatever its name suggests to pytest

    name: str | None = Field(None, description="Name in the tables; the key of the set if absent.")
    type: Literal["Dataset_GaussianDenoising", "GaussianDenoising"] = Field(
        "GaussianDenoising", description="Clean images; the noise is made by the protocol."
    )
    dataroot_gt: str = Field(description="As for training.")
    sigma_test: list[float] | float = Field(
        [15.0, 25.0, 50.0, 60.0], description="Noise levels of the evaluation, 0..255 units."
    )
    in_ch: Literal[1, 3] = Field(3, description="Channels of the network's input.")
    max_images: PositiveInt | None = Field(None, description="Use only the first N images.")
    io_backend: IoBackend = Field(IoBackend(), description="How the images are stored.")
    dataroot_lq: str | None = _ignored(None, "the noise is made by the protocol")

    @field_validator("sigma_test")
    @classmethod
    def _in_range(cls, value: list[float] | float) -> list[float]:
        sigmas = value if isinstance(value, list) else [value]
        for sigma in sigmas:
            if not 0 <= sigma <= SIGMA_LIMIT:
                raise ValueError(f"sigma must lie in [0, 255], got {sigma:g}")
        if not sigmas:
            raise ValueError("needs at least one noise level")
        if len(set(sigmas)) != len(sigmas):
            raise ValueError(f"needs every noise level once, got {sigmas}")
        return sigmas

    @model_validator(mode="after")
    def _check(self) -> "TestSet":
        _check_storage(self.dataroot_gt, self.io_backend)
        return self


class Datasets(BaseModel):
    """`train`, and any number of test sets under names of your choice (`val`, `kodak24`, ...)."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, TestSet]

    train: TrainSet | None = Field(None, description="Training images.")

    @model_validator(mode="after")
    def _check(self) -> "Datasets":
        count = len(self.__pydantic_extra__ or {})
        if len(self.test) != count:
            raise ValueError(f"{count} test sets need {count} names, got {', '.join(self.test)}")
        if AVERAGE_NAME in self.test:
            raise ValueError(f"{AVERAGE_NAME!r} is the mean over sets in the tables, not a set")
        return self

    @property
    def test(self) -> dict[str, TestSet]:
        """Every set that is not for training, by its name in the tables."""
        return {one.name or key: one for key, one in (self.__pydantic_extra__ or {}).items()}


class Paths(Strict):
    """Files to start from, and where results go."""

    pretrain_network_g: Path | None = Field(
        None, description="Checkpoint to start from or to test."
    )
    param_key_g: str = Field(
        "params", description="Which weights of the checkpoint: `params` or `params_ema`."
    )
    strict_load_g: bool = Field(True, description="Every tensor must fit.")
    resume_state: Path | None = Field(
        None, description="A `training_states/N.state` file to continue from."
    )
    experiments_root: Path = Field(
        Path("experiments"), description="Folder under which `<name>/` is made by training."
    )
    results_root: Path = Field(
        Path("results"), description="Folder under which `<name>/` is made by a test."
    )
    tb_root: Path = Field(Path("tb_logger"), description="Folder of TensorBoard events.")


class TestRun(Strict):
    """One checkpoint of a benchmark; what it does not say, `network_g` and `path` say."""

    __test__ = False  # not a test case, whatever its name suggests to pytest

    pretrain_network_g: Path = Field(description="Checkpoint to test.")
    param_key_g: str | None = Field(None, description="As `path.param_key_g`, which it inherits.")
    strict_load_g: bool | None = Field(
        None, description="As `path.strict_load_g`, which it inherits."
    )
    network_g: dict[str, Any] | None = Field(
        None,
        description="Another network where it names a `type`; else arguments to change in the "
        "common one.",
    )


class Runs(BaseModel):
    """Any number of checkpoints to test together, under names of your choice."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, TestRun]

    @property
    def by_name(self) -> dict[str, TestRun]:
        """The runs by name, in the order of the file."""
        return self.__pydantic_extra__ or {}

    @model_validator(mode="after")
    def _check(self) -> "Runs":
        for name in self.by_name:
            if name in BASELINE_NAMES or not re.fullmatch(r"[\w+. -]+", name) or name[0] == ".":
                raise ValueError(f"expected the name of a run, such as mae_evgg, got {name!r}")
        return self


class Optimizer(Strict):
    """The optimiser."""

    type: Literal["AdamW", "Adam", "SGD"] = Field("AdamW", description="A torch optimiser.")
    lr: float = Field(3e-4, gt=0, description="Base learning rate.")
    weight_decay: float = Field(1e-4, ge=0, description="Weight decay.")
    betas: tuple[float, float] = Field((0.9, 0.999), description="Adam's moment decays.")


SCHEDULE_KEYS = {
    "CosineAnnealingRestartCyclicLR": {"periods", "restart_weights", "eta_mins", "eta_min"},
    "CosineAnnealingRestartLR": {"periods", "restart_weights", "eta_min"},
    "MultiStepLR": {"milestones", "gamma"},
    "ConstantLR": set(),
}


class Scheduler(Strict):
    """Learning rate as a function of the step."""

    type: Literal[
        "CosineAnnealingRestartCyclicLR", "CosineAnnealingRestartLR", "MultiStepLR", "ConstantLR"
    ] = Field("ConstantLR", description="Shape of the schedule.")
    periods: list[PositiveInt] | None = Field(None, description="Cosine: steps of each cycle.")
    restart_weights: list[float] | None = Field(None, description="Cosine: factor of each cycle.")
    eta_mins: list[float] | None = Field(None, description="Cyclic: lowest rate of each cycle.")
    eta_min: float = Field(0.0, description="CosineAnnealingRestartLR: lowest rate of all cycles.")
    milestones: list[PositiveInt] = Field([], description="MultiStepLR: steps where it drops.")
    gamma: float = Field(0.1, description="MultiStepLR: factor of a drop.")

    @model_validator(mode="after")
    def _check(self) -> "Scheduler":
        for name, field in type(self).model_fields.items():
            idle = name not in {"type", *SCHEDULE_KEYS[self.type]}
            idle |= name == "eta_min" and self.eta_mins is not None
            if idle and getattr(self, name) != field.default:
                raise ValueError(f"{name} has no effect on this {self.type}")
        if self.type == "MultiStepLR" and not self.milestones:
            raise ValueError("MultiStepLR needs milestones")
        if not self.type.startswith("Cosine"):
            return self
        if not self.periods:
            raise ValueError(f"{self.type} needs periods")
        for name in ("restart_weights", "eta_mins"):
            given = getattr(self, name)
            if given is not None and len(given) != len(self.periods):
                raise ValueError(f"{name} needs one number per period, {len(self.periods)}")
        return self


class MixingAugs(Strict):
    """Mixup of two samples, as in Restormer's recipe."""

    mixup: bool = Field(False, description="Mix pairs of samples.")
    mixup_beta: float = Field(1.2, gt=0, description="Both parameters of the Beta distribution.")
    use_identity: bool = Field(True, description="Leave a sample unmixed with probability 1/2.")


class LossTerm(BaseModel):
    """One loss term; further keys are the arguments of its type."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="MAE, MSE, Charbonnier, PSNR, SSIM, VGG, E-VGG, E-MAE, ...")
    weight: float = Field(1.0, description="Factor in the total.")
    name: str | None = Field(None, description="Name in the log; the type if absent.")
    precision: Literal["float32", "bf16"] | None = Field(
        None,
        description="VGG and E-VGG: of the backbone, float32 if absent; masks and distances stay "
        "float32.",
    )
    compile: bool | None = Field(
        None, description="VGG and E-VGG: run the backbone through torch.compile; no if absent."
    )


class Train(Strict):
    """The training recipe."""

    total_iter: PositiveInt = Field(description="Optimiser steps.")
    losses: list[LossTerm] = Field([], description="The loss terms.")
    pixel_opt: dict[str, Any] | None = Field(None, description="BasicSR's way to name one term.")
    perceptual_opt: dict[str, Any] | None = Field(None, description="BasicSR's way, a second one.")
    optim_g: Optimizer = Field(Optimizer(), description="The optimiser.")
    scheduler: Scheduler = Field(Scheduler(), description="The learning rate's schedule.")
    warmup_iter: int = Field(-1, description="Steps of linear warm-up; -1 for none.")
    use_grad_clip: bool = Field(True, description="Clip the gradient's norm.")
    grad_clip_norm: float = Field(0.01, gt=0, description="The norm it is clipped to.")
    mixing_augs: MixingAugs = Field(MixingAugs(), description="Mixup.")
    ema_decay: float = Field(0.0, ge=0, lt=1, description="Weight averaging; 0 for none.")
    amp: Literal["none", "bf16", "fp16"] = Field("none", description="Autocast of the network.")
    accumulate: PositiveInt = Field(1, description="Micro-batches per optimiser step.")
    compile: bool = Field(
        False, description="Run the network through torch.compile: a wait, then faster steps."
    )
    channels_last: bool | None = Field(
        None, description="Memory format of the network's features; what suits it if absent."
    )
    checkpointing: Literal["none", "level1", "all"] = Field(
        "none",
        description="Keep less for the backward pass and compute it again: nowhere, in the blocks "
        "of full resolution, or in all blocks.",
    )

    @model_validator(mode="after")
    def _collect_losses(self) -> "Train":
        if not self.terms():
            raise ValueError("no loss: give `losses: [{type: MAE}]` or `pixel_opt`")
        return self

    def terms(self) -> list[dict[str, Any]]:
        """Every loss term as the list that `losses.build` takes."""
        own = [term.model_dump(exclude_none=True) for term in self.losses]
        guests = [opt for opt in (self.pixel_opt, self.perceptual_opt) if opt is not None]
        return own + [from_basicsr(opt) for opt in guests]


BASICSR_LOSSES = {
    "L1Loss": "MAE",
    "MSELoss": "MSE",
    "CharbonnierLoss": "Charbonnier",
    "PSNRLoss": "PSNR",
}


def from_basicsr(option: dict[str, Any]) -> dict[str, Any]:
    """Turn BasicSR's `pixel_opt` or `perceptual_opt` into a loss term of ours.

    Args:
        option: the mapping of the option file, `type` and `loss_weight` among its keys.

    Returns:
        A term with `type` and `weight`. BasicSR's Charbonnier adds eps where ours adds eps^2.
    """
    term = {key: value for key, value in option.items() if key != "loss_weight"}
    if "type" not in term:
        raise ValueError(f"a loss needs a `type`, got {option}")
    if "loss_weight" in option:
        term["weight"] = option["loss_weight"]
    if term["type"] in BASICSR_LOSSES:
        term["type"] = BASICSR_LOSSES[term["type"]]
        if term.pop("reduction", "mean") != "mean":
            raise ValueError("only `reduction: mean` trains here")
        if "eps" in term:
            term["eps"] = float(term["eps"]) ** 0.5
    return term


class Validation(Strict):
    """Which metrics, and how often while training."""

    val_freq: PositiveInt = Field(5000, description="Steps between validations.")
    metrics: dict[str, dict[str, Any]] | list[str | dict[str, Any]] = Field(
        ["psnr", "ssim"],
        description="Names (psnr, ssim, lpips, e_mae, or a loss type) or mappings with `type`, "
        "`optional: true` where it may be missing, and arguments; BasicSR's mapping works too.",
    )
    save_img: bool = Field(
        False, description="Write the restored images; a test does, a training does not."
    )
    tile: PositiveInt | None = Field(
        None, description="Side of overlapping tiles; whole if absent."
    )
    tile_overlap: int = Field(32, ge=0, description="Overlap of the tiles in pixels.")
    tile_report: bool = Field(
        False,
        description="A test also restores one picture without tiles, and reports the difference.",
    )
    window_size: int = _ignored(8, "padding follows from the network")
    rgb2bgr: bool = _ignored(True, "images are RGB everywhere")
    use_image: bool = _ignored(False, "metrics round to 8 bits by the protocol")
    max_minibatch: int = _ignored(8, "evaluation takes one image at a time")

    @model_validator(mode="after")
    def _check(self) -> "Validation":
        if self.tile is not None and self.tile_overlap >= self.tile:
            raise ValueError(f"tile_overlap {self.tile_overlap} needs to be below tile {self.tile}")
        if self.tile_report and self.tile is None:
            raise ValueError("tile_report needs tile")
        return self

    @property
    def metric_specs(self) -> list[str | dict[str, Any]]:
        """The metrics as a list; BasicSR's `calculate_psnr` is `psnr`."""
        if isinstance(self.metrics, list):
            return self.metrics
        specs: list[str | dict[str, Any]] = []
        for key, options in self.metrics.items():
            spec = {"type": key, "name": key, **options}
            spec["type"] = spec["type"].removeprefix("calculate_")
            if spec.pop("test_y_channel", False):
                raise ValueError(f"val.metrics.{key}: only RGB images are measured here")
            spec.pop("better", None)  # BasicSR's hint; the metric knows by itself
            specs.append(spec)
        return specs


class Logger(Strict):
    """What a run writes down."""

    print_freq: PositiveInt = Field(100, description="Steps between lines of the log.")
    save_checkpoint_freq: PositiveInt = Field(5000, description="Steps between checkpoints.")
    use_tb_logger: bool = Field(True, description="Write TensorBoard events.")
    wandb: dict[str, Any] | None = _ignored(None, "TensorBoard is the logger")


class DistParams(Strict):
    """Distribution; start with torchrun and `--launcher pytorch`."""

    backend: Literal["nccl", "gloo"] | None = Field(
        None, description="Collective backend; None for nccl on GPUs and gloo on CPUs."
    )
    port: int = _ignored(29500, "torchrun decides")


class Options(Strict):
    """A whole option file."""

    name: str = Field(min_length=1, description="Name of the run and of its folders.")
    model_type: Literal["ImageCleanModel", "ImageRestorationModel", "SRModel", "DenoisingModel"] = (
        Field(
            "ImageCleanModel",
            description="One network, trained against clean images: what all of these names of "
            "BasicSR's family mean here.",
        )
    )
    scale: Literal[1] = Field(1, description="Restoration keeps the size.")
    num_gpu: int | Literal["auto"] = Field(
        "auto", description="0 for the CPU, else a GPU if there is one."
    )
    manual_seed: int = Field(0, ge=0, description="Seed of weights and of the sample stream.")
    datasets: Datasets = Field(Datasets(), description="Training and test images.")
    network_g: dict[str, Any] | None = Field(
        None,
        description="`type` and the arguments of the network; only a test of `baselines` alone, "
        "or of `runs` that name their own, goes without.",
    )
    runs: Runs = Field(
        Runs(), description="Checkpoints to test together, instead of `path.pretrain_network_g`."
    )
    baselines: list[Literal["noisy", "nlm"]] = Field(
        ["noisy"],
        description="What a test measures beside the checkpoints: the noisy input, and OpenCV's "
        "non-local means.",
    )
    path: Paths = Field(Paths(), description="Files to start from, and result folders.")
    train: Train | None = Field(None, description="The training recipe.")
    val: Validation = Field(Validation(), description="Metrics, and validation while training.")
    logger: Logger = Field(Logger(), description="What a run writes down.")
    dist_params: DistParams = Field(DistParams(), description="Distribution.")

    @field_validator("network_g")
    @classmethod
    def _has_type(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None and "type" not in value:
            raise ValueError("needs a `type`, such as Restormer")
        return value

    @model_validator(mode="after")
    def _check(self) -> "Options":
        own = [
            run.network_g is not None and "type" in run.network_g
            for run in self.runs.by_name.values()
        ]
        silent = not all(own) or (not own and "baselines" not in self.model_fields_set)
        if self.network_g is None and silent:
            raise ValueError("option `network_g` is missing")
        if own and self.path.pretrain_network_g is not None:
            raise ValueError("give checkpoints under `runs` or as `path.pretrain_network_g`")
        return self

    def checkpoints(self, name: str) -> dict[str, TestRun]:
        """What a test loads, by the name of its rows, with nothing left to inherit.

        Args:
            name: name of the one checkpoint of `path`, where there are no `runs`.

        Raises:
            ValueError: there is a network, and no checkpoint for it.
        """
        paths, runs = self.path, self.runs.by_name
        if not runs and self.network_g is not None:
            if paths.pretrain_network_g is None:
                raise ValueError("a test needs a checkpoint: give `path.pretrain_network_g`")
            runs = {name: TestRun(pretrain_network_g=paths.pretrain_network_g)}
        return {name: self._complete(run) for name, run in runs.items()}

    def _complete(self, run: TestRun) -> TestRun:
        own, paths = run.network_g or {}, self.path
        strict = paths.strict_load_g if run.strict_load_g is None else run.strict_load_g
        return TestRun(
            pretrain_network_g=run.pretrain_network_g,
            param_key_g=run.param_key_g or paths.param_key_g,
            strict_load_g=strict,
            network_g=own if "type" in own else {**(self.network_g or {}), **own},
        )
