"""Options of the training recipe: losses, optimiser, learning rate, mixing."""

import math
from typing import Any, Literal, TypeGuard

from pydantic import (
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from losses.naming import nearest
from restoration.options.base import MOST, Section, Strict


class Optimizer(Section):
    """The optimiser; further keys are the arguments of its type."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        "AdamW",
        description="AdamW, Adam, SGD; Muon, Adan, Lion or another of timm's; or "
        "`package.module:Name`.",
    )
    lr: float = Field(3e-4, gt=0, description="Base learning rate.")
    weight_decay: float = Field(1e-4, ge=0, description="Weight decay.")
    betas: tuple[float, ...] | None = Field(
        None, description="Moment decays, in [0, 1); the optimiser's own if absent."
    )
    momentum: float | None = Field(
        None, ge=0, lt=1, description="SGD's momentum; the optimiser's own (SGD: none) if absent."
    )

    @field_validator("betas")
    @classmethod
    def _in_range(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and not all(0 <= beta < 1 for beta in value):
            raise ValueError(f"expected betas in [0, 1), got {list(value)}")
        return value

    @property
    def arguments(self) -> dict[str, Any]:
        """What the optimiser is built with, beside the parameters."""
        return self.model_dump(exclude={"type"}, exclude_none=True)


SCHEDULE_KEYS = {
    "CosineAnnealingRestartCyclicLR": {"periods", "restart_weights", "eta_mins", "eta_min"},
    "CosineAnnealingRestartLR": {"periods", "restart_weights", "eta_min"},
    "TrueCosineAnnealingLR": {"T_max", "eta_min"},
    "MultiStepLR": {"milestones", "gamma"},
    "ConstantLR": set(),
}


class Scheduler(Section):
    """Learning rate as a function of the step."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        "ConstantLR",
        description="Shape of the schedule: CosineAnnealingRestartCyclicLR, "
        "CosineAnnealingRestartLR, TrueCosineAnnealingLR, MultiStepLR, ConstantLR, or "
        "`package.module:Name`, called with the base rate and the further keys, which returns the "
        "rate as a function of the step.",
    )
    periods: list[PositiveInt] | None = Field(None, description="Cosine: steps of each cycle.")
    restart_weights: list[NonNegativeFloat] | None = Field(
        None, description="Cosine: factor of each cycle."
    )
    eta_mins: list[NonNegativeFloat] | None = Field(
        None, description="Cyclic: lowest rate of each cycle."
    )
    eta_min: float | None = Field(
        None, ge=0, description="Cosine: lowest rate of all cycles, or 0."
    )
    T_max: PositiveInt | None = Field(None, description="TrueCosineAnnealingLR: steps to eta_min.")
    milestones: list[PositiveInt] | None = Field(
        None, description="MultiStepLR: steps where it drops."
    )
    gamma: float | None = Field(None, gt=0, description="MultiStepLR: factor of a drop, or 0.1.")

    @property
    def arguments(self) -> dict[str, Any]:
        """What the schedule is built with: the keys that were given."""
        return self.model_dump(exclude={"type"}, exclude_none=True)

    @model_validator(mode="after")
    def _check(self) -> "Scheduler":
        if self.type not in SCHEDULE_KEYS:
            return self  # a user's own: it is asked when it is built
        extra = sorted(self.__pydantic_extra__ or {})
        if extra:
            hint = nearest(extra[0], type(self).model_fields)
            raise ValueError(f"unknown option `{extra[0]}`{hint}")
        for name in type(self).model_fields:
            idle = name not in {"type", *SCHEDULE_KEYS[self.type]}
            idle |= name == "eta_min" and self.eta_mins is not None
            if idle and getattr(self, name) is not None:
                raise ValueError(f"{name} has no effect on this {self.type}")
        if self.type == "MultiStepLR" and not self.milestones:
            raise ValueError("MultiStepLR needs milestones")
        if self.type == "TrueCosineAnnealingLR" and self.T_max is None:
            raise ValueError("TrueCosineAnnealingLR needs T_max")
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
    """Mixing of samples, one way per sample where several are on."""

    mixup: bool = Field(False, description="Add a partner, weighted, as in Restormer's recipe.")
    mixup_beta: float = Field(1.2, gt=0, description="Both parameters of the Beta distribution.")
    cutmix: bool = Field(False, description="Replace a rectangle by that of a partner.")
    cutblur: bool = Field(
        False, description="Show the clean image inside, or outside, of a rectangle of the input."
    )
    use_identity: bool = Field(True, description="Leave a sample unmixed with probability 1/2.")


class Share(Strict):
    """A weight that gives a term a share of the gradient at the start; see `losses.shares`."""

    share: float = Field(
        gt=0,
        lt=1,
        description="Between 0 and 1, of the sum over all terms of weight times the L2 norm of "
        "d term / d prediction, mean over the first 32 batches.",
    )
    value: float | None = Field(
        None, description="The weight that was measured; a run writes it into its options.yml."
    )


LARGEST_WEIGHT = 1e12


def check_weight(given: Any) -> float:
    """Return the weight of a loss term as a number.

    Raises:
        TypeError, ValueError: it is none, or one that switches the term off or drowns the others.
    """
    weight = float(given)
    if isinstance(given, bool) or not 0 < abs(weight) <= LARGEST_WEIGHT:
        raise ValueError(
            f"expected a weight other than 0, of at most {LARGEST_WEIGHT:g}, got {given}"
        )
    return weight


class LossTerm(Section):
    """One loss term; further keys are the arguments of its type, such as `weights` or `masks`."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        description="MAE, MSE, Charbonnier, PSNR, SSIM, VGG, E-VGG, E-MAE, ..., or a loss of your "
        "own, `package.module:Name`."
    )
    weight: float | Share = Field(
        1.0,
        description="Factor in the total, or `{share: 0.3}`: such that the term has this share of "
        "the gradient at the start, beside terms whose weight is a number.",
    )
    name: str | None = Field(None, description="Name in the log; the type if absent.")
    precision: Literal["float32", "bf16"] | None = Field(
        None,
        description="VGG and E-VGG: of the backbone, float32 if absent; masks and distances stay "
        "float32.",
    )
    compile: bool | None = Field(
        None, description="VGG and E-VGG: run the backbone through torch.compile; no if absent."
    )

    @field_validator("weight", mode="before")
    @classmethod
    def _check_weight(cls, given: Any) -> float | Share:
        try:
            if isinstance(given, dict | Share):
                return Share.model_validate(given)
            return check_weight(given)
        except (TypeError, ValueError):
            raise ValueError(
                f"expected a number other than 0, of at most {LARGEST_WEIGHT:g}, or a share "
                f"between 0 and 1 such as {{share: 0.3}}, got {given!r}"
            ) from None


COLUMNS = ("step", "lr", "grad_norm", "total")  # of a run's curves, beside the terms


class Train(Strict):
    """The training recipe."""

    total_iter: PositiveInt = Field(le=MOST, description="Optimiser steps.")
    losses: list[LossTerm] = Field([], description="The loss terms.")
    pixel_opt: dict[str, Any] | None = Field(None, description="BasicSR's way to name one term.")
    perceptual_opt: dict[str, Any] | None = Field(None, description="BasicSR's way, a second one.")
    optim_g: Optimizer = Field(Optimizer(), description="The optimiser.")
    scheduler: Scheduler = Field(Scheduler(), description="The learning rate's schedule.")
    warmup_iter: int = Field(
        -1, ge=-1, le=MOST, description="Steps of linear warm-up; -1 for none."
    )
    use_grad_clip: bool = Field(True, description="Clip the gradient's norm.")
    grad_clip_norm: float = Field(0.01, gt=0, description="The norm it is clipped to.")
    mixing_augs: MixingAugs = Field(MixingAugs(), description="Mixing of samples.")
    ema_decay: float = Field(0.0, ge=0, lt=1, description="Weight averaging; 0 for none.")
    amp: Literal["none", "bf16", "fp16"] = Field("none", description="Autocast of the network.")
    accumulate: PositiveInt = Field(1, le=65_536, description="Micro-batches per optimiser step.")
    max_skipped: PositiveInt = Field(
        10,
        description="A step whose gradient is not finite is skipped; so many in a row end the "
        "training.",
    )
    max_hours: float | None = Field(
        None,
        gt=0,
        description="After so many hours the training ends like a Ctrl-C, with a state to go on "
        "from and exit code 75.",
    )
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
        names = [str(term.get("name", term["type"])) for term in self.terms()]
        taken = sorted(set(names) & set(COLUMNS))
        if taken:
            raise ValueError(
                f"expected names of loss terms beside {', '.join(COLUMNS)}, which are columns of "
                f"the curves, got {taken[0]!r}"
            )
        wanted = [term.weight.share for term in self.losses if isinstance(term.weight, Share)]
        if wanted and (len(wanted) == len(self.terms()) or sum(wanted) >= 1):
            raise ValueError(
                "expected shares that sum to less than 1, beside a term whose weight is a number, "
                f"got {', '.join(f'{share:g}' for share in wanted)}"
            )
        return self

    def terms(self) -> list[dict[str, Any]]:
        """Every loss term as the list that `losses.build` takes, once every share has a value."""
        own = [
            term.model_dump(exclude_none=True)
            | ({"weight": term.weight.value} if _is_measured(term.weight) else {})
            for term in self.losses
        ]
        guests = [opt for opt in (self.pixel_opt, self.perceptual_opt) if opt is not None]
        return own + [from_basicsr(opt) for opt in guests]

    def weights(self) -> dict[str, float]:
        """Weight of every loss term by its name in the log; of terms whose weight is a number."""
        terms = {term.get("name", term["type"]): term.get("weight", 1.0) for term in self.terms()}
        return {n: float(weight) for n, weight in terms.items() if not isinstance(weight, dict)}

    def as_given(self) -> list[dict[str, Any]]:
        """Every loss term as it was given: a share without the weight that it was measured as."""
        recipe = self.model_copy(deep=True)
        for term in recipe.losses:
            if isinstance(term.weight, Share):
                term.weight = Share(share=term.weight.share)
        return recipe.terms()

    def unmeasured_shares(self) -> dict[str, float]:
        """Share of every loss term by its name in the log; of those that have no weight yet."""
        shares = {term.name or term.type: term.weight for term in self.losses}
        return {
            name: weight.share
            for name, weight in shares.items()
            if isinstance(weight, Share) and weight.value is None
        }


def _is_measured(weight: float | Share) -> TypeGuard[Share]:
    return isinstance(weight, Share) and weight.value is not None


BASICSR_LOSSES = {
    "L1Loss": "MAE",
    "MSELoss": "MSE",
    "CharbonnierLoss": "Charbonnier",
    "PSNRLoss": "PSNR",
}
BASICSR_CHARBONNIER_EPS = 1e-12  # BasicSR's default; it adds eps where `Charbonnier` adds eps^2


def from_basicsr(option: dict[str, Any]) -> dict[str, Any]:
    """Turn BasicSR's `pixel_opt` or `perceptual_opt` into a loss term of ours.

    Args:
        option: the mapping of the option file, `type` and `loss_weight` among its keys.

    Returns:
        A term with `type` and `weight`. `CharbonnierLoss` means BasicSR's, sqrt(d^2 + eps), and
        `Charbonnier` Restormer's, sqrt(d^2 + eps^2), wherever they stand.
    """
    term = {key: value for key, value in option.items() if key != "loss_weight"}
    if not isinstance(term.get("type"), str):
        raise ValueError(f"a loss needs a `type`, got {option}")
    if "loss_weight" in option:
        term["weight"] = check_weight(option["loss_weight"])
    if term["type"] in BASICSR_LOSSES:
        term["type"] = BASICSR_LOSSES[term["type"]]
        if term.pop("reduction", "mean") != "mean":
            raise ValueError("only `reduction: mean` trains here")
        if term["type"] == "Charbonnier":
            eps = term.get("eps", BASICSR_CHARBONNIER_EPS)
            if not isinstance(eps, int | float) or not 0 < eps < math.inf:
                raise ValueError(f"expected eps > 0 of CharbonnierLoss, got {eps!r}")
            term["eps"] = float(eps) ** 0.5
    return term
