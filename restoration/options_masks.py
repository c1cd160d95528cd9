"""Option files of `restoration masks train`: a metric, opinion to learn from, and a recipe."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from restoration.options import Strict

SAFE_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"
PEOPLE = ("kadid10k", "tid2013", "csiq", "pipal", "csv")
Level = Annotated[int, Field(ge=1, le=5)]


class MaskMetric(Strict):
    """The metric that the masks enhance."""

    type: Literal["e-mae", "e-mse", "e-psnr", "e-ssim", "e-flip", "e-vgg", "e-lpips", "e-dists"] = (
        Field("e-mae", description="One mask on RGB images, or one per tap of a backbone.")
    )
    backbone: Literal["embedded", "vgg16", "vgg19"] | None = Field(
        None, description="Of e-vgg, `embedded` if absent; e-lpips and e-dists have VGG-16."
    )
    backbone_weights: Path | None = Field(
        None, description="Local file of its weights, torchvision's names; the published if absent."
    )
    taps: list[str] | None = Field(
        None, description="ReLUs of e-vgg, such as relu2_2; all that the weights hold if absent."
    )
    order: Literal["reference_first", "distorted_first"] = Field(
        "reference_first", description="How a pair is concatenated for the masks."
    )


class MaskData(Strict):
    """The opinion that the masks learn from; reference images, never pairs, are held out."""

    type: Literal["pseudo", "kadid10k", "tid2013", "csiq", "pipal", "csv"] = Field(
        "pseudo",
        description="`pseudo`: photographs distorted and scored here; else a set of people's "
        "opinion.",
    )
    dataroot: str | list[str] = Field(
        description="Folder of the set, the file of `csv`, or for `pseudo` one or more folders of "
        "clean photographs (`skimage:NAME,NAME` works too)."
    )
    direction: Literal["MOS", "DMOS"] | None = Field(
        None, description="Of csv: MOS where higher scores are better, DMOS where worse."
    )
    score_range: list[float] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="Of csv: lowest and highest score; those of the other sets are known.",
    )
    num_references: PositiveInt | None = Field(
        None,
        description="Of a set: how many of its references, drawn by the seed, all if absent. Of "
        "`pseudo`: how many cuts, one of each photograph if absent.",
    )
    num_versions: PositiveInt = Field(12, description="Of pseudo: versions of each reference.")
    size: PositiveInt = Field(192, description="Of pseudo: side of a cut in pixels.")
    distortions: list[str] | None = Field(
        None, description="Kinds (white_noise, jpeg, ...) or families (noise, blur, ...); all."
    )
    levels: list[Level] | None = Field(
        None,
        min_length=1,
        description="Levels of the distortions; if absent all from 1 to 5, and those between.",
    )
    teachers: str | list[str] | None = Field(
        None, description="Of pseudo: metrics that score, or `held-out`; the ensemble if absent."
    )
    held_out_every: int | None = Field(
        8, ge=2, description="Every n-th photograph is measured on and not trained on; null: none."
    )
    table: Path | None = Field(
        None, description="Of pseudo: .npz file that keeps the scored pairs for the next run."
    )

    @model_validator(mode="after")
    def _check(self) -> "MaskData":
        pseudo = ("num_versions", "size", "teachers", "table")
        wrong = [n for n in pseudo if n in self.model_fields_set and getattr(self, n) is not None]
        if self.type != "pseudo" and wrong:
            raise ValueError(f"{', '.join(wrong)}: for `type: pseudo` alone")
        given = self.direction is not None, self.score_range is not None
        if self.type == "csv" and not all(given):
            raise ValueError("csv needs `direction` (MOS or DMOS) and `score_range: [LOW, HIGH]`")
        if self.type != "csv" and any(given):
            raise ValueError("direction and score_range are for `type: csv` alone")
        if self.type != "pseudo" and len(self.dataroots) != 1:
            raise ValueError(f"{self.type} has one dataroot, got {self.dataroot}")
        return self

    @property
    def dataroots(self) -> list[str]:
        """The roots as a list."""
        return self.dataroot if isinstance(self.dataroot, list) else [self.dataroot]


class MaskTrain(Strict):
    """The recipe."""

    total_iter: PositiveInt = Field(1000, description="Number of steps.")
    crop: PositiveInt = Field(96, description="Side of a crop in pixels, a multiple of 8.")
    batch_references: PositiveInt = Field(6, description="References of a batch.")
    batch_versions: PositiveInt = Field(4, description="Versions of each of them.")
    learning_rate: PositiveFloat = Field(1e-3, description="At the start; falls as a cosine.")
    rank_weight: float = Field(1.0, ge=0, description="Of the order of pairs by their scores.")
    place_weight: float = Field(
        0.5, ge=0, description="Of where an error shows, block by block; fades out."
    )
    tap_weight: float = Field(0.5, ge=0, description="Of each tap's own prediction of the score.")
    threads: PositiveInt = Field(1, description="CPU threads; one gives the same bits anywhere.")


class MaskLogger(Strict):
    """What a run writes down."""

    print_freq: PositiveInt = Field(50, description="Steps between lines of the log.")
    save_checkpoint_freq: PositiveInt = Field(200, description="Steps between training states.")
    use_tb_logger: bool = Field(True, description="Write TensorBoard events.")


class MaskOptions(Strict):
    """A whole option file of `restoration masks train`."""

    name: str = Field(pattern=SAFE_NAME, description="Name of the run and of its folders.")
    manual_seed: int = Field(0, ge=0, description="Seed of weights, pairs and batches.")
    metric: MaskMetric = Field(MaskMetric(), description="What the masks enhance.")
    data: MaskData = Field(description="What they learn from.")
    train: MaskTrain = Field(MaskTrain(), description="The recipe.")
    logger: MaskLogger = Field(MaskLogger(), description="What a run writes down.")
