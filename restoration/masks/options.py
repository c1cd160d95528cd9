"""Option files of `restoration masks train`: a metric, ratings to learn from, and a recipe.

A file of `restoration masks ablate` lists variants, each a name and what it changes of the rest.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from restoration.options.base import Name, Strict
from restoration.options.load import merge, override, read_mapping, validate

Level = Annotated[int, Field(ge=1, le=5)]
Network = Literal["three_conv", "compact", "context"]
OF_TAPS = ("e-vgg", "e-lpips", "e-dists")  # metrics with one mask per tap
OF_CALIBRATED = (  # of MaskData
    "own_level",
    "smallest_scale",
    "noise_masking",
    "texture_every",
    "metrics_share",
)


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
    network: Network | list[Network] = Field(
        "three_conv",
        description="Of the masks: `three_conv` as published; `compact`, of half the resolution "
        "and 35 times cheaper on images; or `context`, 30 times cheaper, which also reads global "
        "statistics of the pair. One for all taps, or one each.",
    )
    masks: str | None = Field(
        None,
        description="File or name of masks to go on from, such as those that ship (`restoration "
        "weights list`); trained from nothing if absent. Their networks are taken, not `network`.",
    )
    precision: Literal["float32", "bf16"] = Field(
        "float32", description="Of the backbone while masks are trained; bf16 is faster."
    )
    order: Literal["reference_first", "distorted_first"] = Field(
        "reference_first", description="How a pair is concatenated for the masks."
    )


class MaskData(Strict):
    """The ratings that the masks learn from; reference images, never pairs, are held out."""

    type: Literal["pseudo", "calibrated", "kadid10k", "tid2013", "csiq", "pipal", "csv"] = Field(
        "pseudo",
        description="`pseudo`: photographs distorted here and scored by metrics (pseudo-MOS); "
        "`calibrated`: distorted here as in KADID-10k and scored by what people said there of each "
        "kind and level on average; else a data set of people's ratings (MOS).",
    )
    dataroot: str | list[str] = Field(
        description="Folder of the set, the file of `csv`, or for `pseudo` and `calibrated` one or "
        "more folders of clean photographs (`skimage:NAME,NAME` works too)."
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
        "those made here: how many cuts, one of each photograph if absent.",
    )
    num_versions: PositiveInt = Field(
        12, description="Of those made here: versions of each reference."
    )
    size: PositiveInt = Field(192, description="Of those made here: side of a cut in pixels.")
    distortions: list[str] | None = Field(
        None, description="Kinds (white_noise, jpeg, ...) or families (noise, blur, ...); all."
    )
    denoisers: list[str] = Field(
        [],
        description="Of those made here: denoisers whose outputs are further kinds, such as "
        "`[gaussian, bilateral, nlm, denoise_color_xs]`: filters, ffdnet, networks that "
        "`restoration weights list` shows, or checkpoints.",
    )
    levels: list[Level] | None = Field(
        None,
        min_length=1,
        description="Levels of the distortions; if absent all from 1 to 5, and those between.",
    )
    teachers: str | list[str] | None = Field(
        None,
        description="Of pseudo: metrics that score, or `held-out`; the ensemble if absent. Of "
        "calibrated: how an image differs from its kind and level; `mae` if absent.",
    )
    own_level: float = Field(
        0.25,
        ge=0,
        le=1,
        description="Of calibrated: weight of the level that a version was drawn at in the level "
        "that is rated; the rest is the level whose mean error is that of this version.",
    )
    smallest_scale: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Of calibrated: photographs are shrunk by random factors from this to 1 before "
        "they are cut, as far as a cut fits; 1: never.",
    )
    noise_masking: float = Field(
        0.0,
        ge=0,
        description="Of calibrated: exponent of the reference's contrast by which it hides white "
        "noise in a rating; 0: noise is rated by its error alone.",
    )
    texture_every: int = Field(
        0,
        ge=0,
        description="Of calibrated: every n-th reference is a random texture instead of a cut of a "
        "photograph; 0: none.",
    )
    metrics_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Of calibrated: share of the rating by metrics (pseudo-MOS, the ensemble of "
        "`pseudo`) in a rating; the rest is what people said.",
    )
    held_out_every: int = Field(
        8, ge=0, description="Every n-th photograph is measured on and not trained on; 0: none."
    )
    table: Path | None = Field(
        None,
        description="Of those made here: .npz file that keeps the scored pairs for the next run.",
    )

    @model_validator(mode="after")
    def _check(self) -> "MaskData":
        if self.held_out_every == 1:
            raise ValueError("held_out_every: 1 would leave nothing to train on")
        pseudo = ("num_versions", "size", "denoisers", "teachers", "table")
        default = MaskData.model_fields
        wrong = [name for name in pseudo if getattr(self, name) != default[name].default]
        if not self.drawn_here and wrong:
            raise ValueError(f"{', '.join(wrong)}: for `type: pseudo` alone, or `calibrated`")
        given = self.direction is not None, self.score_range is not None
        wrong = [name for name in OF_CALIBRATED if getattr(self, name) != default[name].default]
        if self.type != "calibrated" and wrong:
            raise ValueError(f"{', '.join(wrong)}: for `type: calibrated` alone")
        if self.type == "csv" and not all(given):
            raise ValueError("csv needs `direction` (MOS or DMOS) and `score_range: [LOW, HIGH]`")
        if self.type != "csv" and any(given):
            raise ValueError("direction and score_range are for `type: csv` alone")
        if self.noise_masking and self.teachers is not None:
            raise ValueError("noise_masking: not with `teachers`, which then rate noise")
        if not self.drawn_here and len(self.dataroots) != 1:
            raise ValueError(f"{self.type} has one dataroot, got {self.dataroot}")
        return self

    @property
    def drawn_here(self) -> bool:
        """Whether photographs are distorted and scored here."""
        return self.type in ("pseudo", "calibrated")

    @property
    def dataroots(self) -> list[str]:
        """The roots as a list."""
        return self.dataroot if isinstance(self.dataroot, list) else [self.dataroot]


class MaskTrain(Strict):
    """The recipe."""

    total_iter: int = Field(
        1000,
        ge=0,
        description="Steps; 0, with `metric.masks` and `tap_decay`: only the taps settle.",
    )
    crop: PositiveInt = Field(96, description="Side of a crop in pixels, a multiple of 8.")
    batch_references: PositiveInt = Field(6, description="References of a batch.")
    batch_versions: PositiveInt = Field(4, description="Versions of each of them.")
    learning_rate: PositiveFloat = Field(1e-3, description="At the start; falls as a cosine.")
    scaled_rates: bool = Field(
        False,
        description="A lower learning rate for the first convolution of masks that read many "
        "channels.",
    )
    warmup_iter: int = Field(0, ge=0, description="Steps in which the learning rate rises.")
    rank_weight: float = Field(1.0, ge=0, description="Of the order of pairs by their scores.")
    place: Literal["dissimilarity", "masking", "cvvdp"] = Field(
        "dissimilarity",
        description="What tells where an error shows, block by block: `dissimilarity` of the two "
        "images, which fades out, contrast `masking` by the reference, or ColorVideoVDP (`cvvdp`), "
        "whose maps are kept beside `data.table`.",
    )
    place_weight: float = Field(0.5, ge=0, description="Of where an error shows.")
    contrast_weight: float = Field(
        0.0, ge=0, description="Of how an error falls as the reference's contrast rises."
    )
    balance_weight: float = Field(
        0.0,
        ge=0,
        description="Of the balance of several taps: no mask hides more than others; with "
        "`tap_decay`, what further taps add to the value of a pair follows what the first adds, "
        "whose mask stays open.",
    )
    tap_decay: PositiveFloat | None = Field(
        None,
        description="What each tap adds to the value, as a share of what the tap before it adds, "
        "in the geometric mean over pairs: after the last step the masks of all taps but the first "
        "close, or open, until it is so.",
    )
    tap_weight: float = Field(0.5, ge=0, description="Of each tap's own prediction of the score.")
    interpolation: float = Field(
        1.0,
        gt=0,
        le=1,
        description="With `metric.masks`: share of the trained weights in those that are written; "
        "the rest is what they were at the start (WiSE-FT, arXiv:2109.01903). Weights in between "
        "often agree better than both. `--auto_resume` writes them for another share.",
    )
    threads: PositiveInt = Field(
        1, description="CPU threads; one gives the same bits on all CPUs of a kind."
    )


class MaskLogger(Strict):
    """What a run writes down."""

    print_freq: PositiveInt = Field(50, description="Steps between lines of the log.")
    save_checkpoint_freq: PositiveInt = Field(200, description="Steps between training states.")
    use_tb_logger: bool = Field(True, description="Write TensorBoard events.")
    half_precision: bool = Field(
        False, description="Write the masks in float16: half the file; they compute in float32."
    )


class MaskOptions(Strict):
    """A whole option file of `restoration masks train`."""

    name: Name = Field(description="Name of the run and of its folders.")
    imports: list[str] = Field([], description="As in the options of a training.")
    manual_seed: int = Field(0, ge=0, description="Seed of weights, pairs and batches.")
    metric: MaskMetric = Field(MaskMetric(), description="What the masks enhance.")
    data: MaskData = Field(description="What they learn from.")
    train: MaskTrain = Field(MaskTrain(), description="The recipe.")
    logger: MaskLogger = Field(MaskLogger(), description="What a run writes down.")

    @model_validator(mode="after")
    def _check(self) -> "MaskOptions":
        if self.train.tap_decay is not None and self.metric.type not in OF_TAPS:
            raise ValueError(f"train.tap_decay: {self.metric.type} has one mask, on images")
        if self.train.total_iter == 0 and None in (self.metric.masks, self.train.tap_decay):
            raise ValueError("train.total_iter: 0 needs `metric.masks` and `train.tap_decay`")
        if self.train.interpolation < 1 and self.metric.masks is None:
            raise ValueError("train.interpolation: below 1 it needs `metric.masks` to start from")
        return self


class Variant(Strict):
    """One variant of an ablation: a name, and what it changes of the shared options."""

    name: Name = Field(description="Name in the table, and of its folder.")
    manual_seed: int | None = Field(None, description="Overrides the shared key.")
    metric: dict[str, Any] | None = Field(None, description="Overrides shared keys.")
    data: dict[str, Any] | None = Field(None, description="Overrides shared keys.")
    train: dict[str, Any] | None = Field(None, description="Overrides shared keys.")


class FigurePair(Strict):
    """The pair whose error maps are drawn."""

    image: str = Field("skimage:coffee", description="A source; its first image is the one.")
    distortion: str = Field("white_noise_color", description="Kind of distortion.")
    level: float = Field(3.0, ge=1, le=5, description="Its level.")


class Ablation(Strict):
    """Keys of an ablation's file beside the shared options."""

    variants: list[Variant] = Field(min_length=1, description="What is trained and compared.")
    test: MaskData = Field(
        description="Ratings that all are measured on, all of them; no photograph of them may be "
        "trained on."
    )
    figure: FigurePair = Field(FigurePair(), description="The pair whose error maps are drawn.")

    @model_validator(mode="after")
    def _check(self) -> "Ablation":
        names = [variant.name for variant in self.variants]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"expected variants of different names, got twice {', '.join(twice)}")
        if "held_out_every" in self.test.model_fields_set:
            raise ValueError("test.held_out_every: all of the test is measured on")
        return self


@dataclass(frozen=True)
class AblationPlan:
    """A whole ablation: its own settings, and all options of every variant by its name."""

    name: str
    settings: Ablation
    seed: int
    variants: dict[str, MaskOptions]


def load_ablation(path: str | Path, assignments: list[str] | None = None) -> AblationPlan:
    """Read an ablation's file and resolve every variant.

    Args:
        path: the YAML file.
        assignments: `KEY:KEY=VALUE` overrides; those of shared options hold for every variant.

    Raises:
        FileNotFoundError: no such file, or a base is missing.
        ValueError: what is wrong, and where.
    """
    given = assignments or []
    for_ablation = [a for a in given if a.partition("=")[0].split(":")[0] in Ablation.model_fields]
    for_variants = [a for a in given if a not in for_ablation]
    mapping = override(read_mapping(Path(path)), for_ablation)
    of_ablation = {key: value for key, value in mapping.items() if key in Ablation.model_fields}
    shared = {key: value for key, value in mapping.items() if key not in of_ablation}
    variants = {}
    try:
        settings = validate(of_ablation, Ablation)
        base = validate(override(shared, for_variants), MaskOptions)
        for variant in settings.variants:
            changes = variant.model_dump(exclude_none=True, exclude={"name"})
            options = merge(shared, changes) | {"name": variant.name}
            options = override(options, for_variants)
            try:
                variants[variant.name] = validate(options, MaskOptions)
            except ValueError as error:
                raise ValueError(f"variant {variant.name}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return AblationPlan(base.name, settings, base.manual_seed, variants)
