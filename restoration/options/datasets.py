"""Options of the image sets: training samples and test sets."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PositiveInt, field_validator, model_validator

from losses.naming import is_import_path, nearest
from restoration.common.names import DATASETS
from restoration.options.base import MOST, Section, Strict, check_name, ignored

SIGMA_LIMIT = 255.0


MAX_PIXELS = 178_956_970  # which is what Pillow takes for honest
AVERAGE_NAME = "average"


class IoBackend(Strict):
    """How images are stored."""

    type: Literal["disk", "lmdb"] = Field("disk", description="`disk` (a folder) or `lmdb`.")


LONGEST = 65_536  # side of a patch; samples of a batch
Batch = Annotated[int, Field(ge=1, le=LONGEST)]
Side = Annotated[int, Field(ge=1, le=LONGEST)]
Stage = Annotated[int, Field(ge=1, le=MOST)]
Degradations = dict[str, Any] | list[dict[str, Any]]

NOTHING = (None, "", "none", "None")  # what option files write where there is no folder
PAIRS = ("PairedImage", "PairedImageDataset", "Dataset_PairedImage")
CLEAN = ("GaussianDenoising", "Dataset_GaussianDenoising")
SETS = (*CLEAN, *PAIRS)


class ImageSet(Strict):
    """What training and test sets share: where images lie, and what their inputs are made of."""

    type: str = Field(
        "GaussianDenoising",
        description="`GaussianDenoising`: clean images, degraded while training or testing (by "
        "noise, or by what `degradation` says); `PairedImage`: clean images and their degraded "
        "partners (`dataroot_lq`). BasicSR's and Restormer's names of these mean the same. Or "
        "`package.module:Name`, called with dataroot_gt and `arguments`, which returns a Source.",
    )
    dataroot_gt: str = Field(
        description="Folder of clean images (or of the decoded ones of `restoration data prepare "
        "--decoded`, the fastest), a `.lmdb` folder, or `skimage:NAME,NAME` for photographs that "
        "ship inside scikit-image (`NAME@128` for all its crops of 128 pixels)."
    )
    dataroot_lq: str | None = Field(
        None, description="PairedImage: folder or `.lmdb` of the degraded images."
    )
    filename_tmpl: str = Field(
        "{}",
        description="PairedImage: name of a degraded image without extension; {} stands for the "
        "name of its clean partner.",
    )
    degradation: Degradations | None = Field(
        None,
        description="GaussianDenoising: what the input is made by, `{type: gaussian, sigma: [0, "
        "50]}`, or a list applied in order. Types: gaussian (sigma), poisson_gaussian (shot, "
        "sigma), camera (sigma), jpeg (quality), blur (sigma), downsample (factor), or "
        "`package.module:Name`; instead of the keys `sigma_...`.",
    )
    noise_map: bool = Field(
        False,
        description="Give the network sigma / 255 as one more input channel (FFDNet, DRUNet); "
        "needs one gaussian degradation.",
    )
    in_ch: Literal[1, 3] = Field(3, description="Channels of the images.")
    io_backend: IoBackend = Field(IoBackend(), description="How the images are stored.")
    max_pixels: PositiveInt = Field(
        MAX_PIXELS, description="An image of more pixels is taken for a mistake, or an attack."
    )
    on_error: Literal["raise", "skip"] = Field(
        "raise",
        description="An image that cannot be read ends the run, or is left out and counted; for "
        "`skip` every image is decoded once before the run starts.",
    )
    arguments: dict[str, Any] = Field(
        {}, description="Further arguments of a data set of your own (`type: package.module:Name`)."
    )

    @property
    def custom(self) -> bool:
        """Whether a data set of the user's own opens the images."""
        return self.type not in SETS

    @property
    def pairs(self) -> bool:
        """Whether the degraded images are files too."""
        return self.type in PAIRS

    @field_validator("type")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in SETS and value not in DATASETS and not is_import_path(value):
            known, hint = ", ".join(SETS), nearest(value, [*SETS, *DATASETS])
            raise ValueError(f"expected one of {known}, got {value!r}{hint}")
        return value

    @field_validator("dataroot_lq")
    @classmethod
    def _none_is_nothing(cls, value: str | None) -> str | None:
        return None if value in NOTHING else value

    @model_validator(mode="after")
    def _check_images(self) -> "ImageSet":
        if self.pairs and self.dataroot_lq is None:
            raise ValueError(f"type {self.type} needs dataroot_lq, the folder of degraded images")
        if self.arguments and not self.custom:
            raise ValueError(f"arguments has no effect on type {self.type}")
        if not self.pairs and not self.custom and self.dataroot_lq is not None:
            raise ValueError(
                f"dataroot_lq has no effect on type {self.type}, which degrades clean images by "
                "itself: for pairs of images give `type: PairedImage`"
            )
        if self.custom and "max_pixels" in self.model_fields_set:
            raise ValueError(f"max_pixels has no effect on type {self.type}")
        if not self.pairs and self.filename_tmpl != "{}":
            raise ValueError(f"filename_tmpl has no effect on type {self.type}")
        without = ("degradation", "noise_map", "sigma_range", "sigma_test", "sigma_type")
        idle = [key for key in without if self.pairs and getattr(self, key, None)]
        if idle:
            raise ValueError(f"{idle[0]} has no effect on pairs of images")
        for key in ("dataroot_gt", "dataroot_lq"):
            root = getattr(self, key)
            if self.io_backend.type == "lmdb" and root is not None and not root.endswith(".lmdb"):
                raise ValueError(f"io_backend lmdb needs a {key} that ends in .lmdb, got {root}")
        return self

    def _refuse_both(self, *keys: str) -> None:
        both = [key for key in keys if getattr(self, key) is not None]
        if self.degradation is not None and both:
            raise ValueError(f"give `degradation` or `{both[0]}`, not both")


class TrainSet(ImageSet):
    """Training images and how they become samples."""

    name: str = Field("train", description="Name in the log.")
    sigma_type: Literal["random", "constant", "choice"] | None = Field(
        None,
        description="`random`: uniform in sigma_range (blind); `constant`: its one value; "
        "`choice`: one of its values. If absent `random`, or `constant` where there is one.",
    )
    sigma_range: list[float] | float | None = Field(
        None,
        description="Noise level, [low, high], or the levels to choose from, in 0..255 units; "
        "[0, 50] if absent.",
    )
    geometric_augs: bool = Field(True, description="Random flips and quarter turns.")
    use_hflip: bool | None = Field(None, description="BasicSR's half of geometric_augs.")
    use_flip: bool | None = Field(None, description="NAFNet's name of use_hflip.")
    use_rot: bool | None = Field(None, description="BasicSR's other half of geometric_augs.")
    num_worker_per_gpu: int = Field(2, ge=0, le=1024, description="Loader processes per rank.")
    batch_size_per_gpu: PositiveInt = Field(8, le=LONGEST, description="Samples per rank and step.")
    gt_size: PositiveInt = Field(
        128, le=LONGEST, description="Side of the training patch in pixels."
    )
    mini_batch_sizes: list[Batch] | None = Field(
        None, description="Progressive training: samples per rank and step in each stage."
    )
    iters: list[Stage] | None = Field(
        None, description="Progressive training: steps of each stage; the last goes on."
    )
    gt_sizes: list[Side] | None = Field(
        None, description="Progressive training: patch side of each stage."
    )
    cache_gb: float = Field(
        1.0, ge=0, le=1e6, description="Memory per loader process for decoded images, in GB."
    )
    use_shuffle: bool = ignored(True, "every epoch is a fresh permutation")
    dataset_enlarge_ratio: float = ignored(1, "the sample stream has no epochs to enlarge")
    prefetch_mode: str | None = ignored(None, "torch's DataLoader prefetches")

    @model_validator(mode="after")
    def _check(self) -> "TrainSet":
        given = [v for v in (self.mini_batch_sizes, self.iters, self.gt_sizes) if v is not None]
        if given and (len(given) != 3 or len({len(v) for v in given}) != 1):
            raise ValueError("mini_batch_sizes, iters and gt_sizes go together, one length for all")
        self._refuse_both("sigma_type", "sigma_range")
        self._check_symmetries()
        if self.pairs or self.custom or self.degradation is not None:
            return self
        if self.sigma_range is None:
            self.__dict__["sigma_range"] = self.sigmas
        levels, count = self.sigmas, len(self.sigmas)
        self.__dict__["sigma_type"] = self.sigma_type or ("constant" if count == 1 else "random")
        if self.sigma_type == "constant" and count != 1:
            raise ValueError(f"sigma_range needs one number for `constant`, got {levels}")
        if self.sigma_type == "random" and count != 2:
            more = ", and `constant` where it is one" if count == 1 else ""
            raise ValueError(f"sigma_range needs one or two numbers{more}, got {levels}")
        if not levels or not 0 <= min(levels) <= max(levels) <= SIGMA_LIMIT:
            raise ValueError(f"sigma_range must lie in [0, 255], got {self.sigma_range}")
        if self.sigma_type == "random" and levels[0] > levels[-1]:
            raise ValueError(f"sigma_range needs [low, high], got {levels}")
        return self

    def _check_symmetries(self) -> None:
        halves = {v for v in (self.use_hflip, self.use_flip, self.use_rot) if v is not None}
        given = halves | (
            {self.geometric_augs} if "geometric_augs" in self.model_fields_set else set()
        )
        if len(given) > 1:
            raise ValueError("use_hflip and use_rot go together here, as `geometric_augs`: give it")
        self.__dict__["geometric_augs"] = given.pop() if given else self.geometric_augs

    @property
    def sigmas(self) -> list[float]:
        """The numbers of sigma_range, 0..255 units."""
        given = [0.0, 50.0] if self.sigma_range is None else self.sigma_range
        return given if isinstance(given, list) else [given]

    @property
    def degradations(self) -> Degradations:
        """What clean images are degraded by; what the keys `sigma_...` say is Gaussian noise."""
        if self.degradation is not None:
            return self.degradation
        sigma: Any = {"choice": self.sigmas} if self.sigma_type == "choice" else self.sigmas
        return {"type": "gaussian", "sigma": sigma}

    @property
    def stages(self) -> tuple[list[int], list[int], list[int]]:
        """Steps, samples per rank, and patch side of each stage."""
        if self.iters is None or self.mini_batch_sizes is None or self.gt_sizes is None:
            return [1], [self.batch_size_per_gpu], [self.gt_size]
        return self.iters, self.mini_batch_sizes, self.gt_sizes


class TestSet(ImageSet):
    """Test images: clean ones, degraded by the protocol, seed 0 before every image; or pairs."""

    __test__ = False  # not a test case, whatever its name suggests to pytest

    name: str | None = Field(None, description="Name in the tables; the key of the set if absent.")
    sigma_test: list[float] | float | None = Field(
        None,
        description="Noise levels of the evaluation, 0..255 units; [15, 25, 50, 60] if absent.",
    )
    max_images: PositiveInt | None = Field(None, description="Use only the first N images.")

    @field_validator("sigma_test")
    @classmethod
    def _in_range(cls, value: list[float] | float | None) -> list[float] | None:
        if value is None:
            return None
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
        self._refuse_both("sigma_test")
        if not (self.pairs or self.custom or self.degradation is not None or self.sigma_test):
            self.__dict__["sigma_test"] = [15.0, 25.0, 50.0, 60.0]
        return self

    @property
    def degradations(self) -> Degradations:
        """What the images are tested under; a list of levels is a condition for each."""
        return self.degradation or {"type": "gaussian", "sigma": self.sigma_test}


class Datasets(Section):
    """`train`, and any number of test sets under names of your choice (`val`, `kodak24`, ...)."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, TestSet]

    train: TrainSet | None = Field(None, description="Training images.")

    @model_validator(mode="after")
    def _check(self) -> "Datasets":
        count = len(self.__pydantic_extra__ or {})
        if len(self.test) != count:
            raise ValueError(f"{count} test sets need {count} names, got {', '.join(self.test)}")
        sets = [*self.test.values(), *([] if self.train is None else [self.train])]
        if len({one.noise_map for one in sets}) > 1:
            raise ValueError("noise_map is a matter of the network: give it to all sets or to none")
        for name in self.test:
            check_name(name)
        if AVERAGE_NAME in self.test:
            raise ValueError(f"{AVERAGE_NAME!r} is the mean over sets in the tables, not a set")
        return self

    @property
    def noise_map(self) -> bool:
        """Whether the network is told the noise level."""
        sets = [*self.test.values(), *([] if self.train is None else [self.train])]
        return any(one.noise_map for one in sets)

    @property
    def test(self) -> dict[str, TestSet]:
        """Every set that is not for training, by its name in the tables."""
        return {one.name or key: one for key, one in (self.__pydantic_extra__ or {}).items()}
