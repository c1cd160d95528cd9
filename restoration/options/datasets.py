"""Options of the image sets: training samples and test sets."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator

from restoration.options.base import Strict, ignored

SIGMA_LIMIT = 255.0


AVERAGE_NAME = "average"


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
    dataroot_lq: str | None = ignored(None, "the noise is made while training")
    filename_tmpl: str = ignored("{}", "clean images have no partner file")
    use_shuffle: bool = ignored(True, "every epoch is a fresh permutation")
    dataset_enlarge_ratio: float = ignored(1, "the sample stream has no epochs to enlarge")
    prefetch_mode: str | None = ignored(None, "torch's DataLoader prefetches")

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
    dataroot_lq: str | None = ignored(None, "the noise is made by the protocol")

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
