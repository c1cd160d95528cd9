"""Options of measuring: metrics, tiles, and how often while training."""

from typing import Any

from pydantic import Field, PositiveInt, field_validator, model_validator

from restoration.options.base import Strict, ignored

USUAL_METRICS: list[str | dict[str, Any]] = ["psnr", "ssim"]


class Validation(Strict):
    """Which metrics, and how often while training."""

    val_freq: PositiveInt = Field(5000, description="Steps between validations.")
    metrics: dict[str, dict[str, Any]] | list[str | dict[str, Any]] = Field(
        USUAL_METRICS,
        description="Names (psnr, ssim, lpips, e_mae, or a loss type) or mappings with `type`, "
        "`optional: true` where it may be missing, and arguments; BasicSR's mapping works too.",
    )
    save_img: bool = Field(
        False, description="Write the restored images; a test does, a training does not."
    )
    tile: int | None = Field(None, ge=8, description="Side of overlapping tiles; whole if absent.")
    tile_overlap: int = Field(32, ge=0, description="Overlap of the tiles in pixels.")
    tile_report: bool = Field(
        False,
        description="A test also restores one image without tiles, and reports the difference.",
    )
    window_size: PositiveInt | None = Field(
        None,
        le=1024,
        description="Images are padded to a multiple of it, of networks that do not tell theirs.",
    )
    rgb2bgr: bool = ignored(True, "images are RGB everywhere")
    use_image: bool = ignored(False, "metrics round to 8 bits by the protocol")
    suffix: str | None = ignored(None, "written images keep their names")
    grids: bool = ignored(False, "tiles are cut by `tile`")
    pbar: bool = ignored(True, "a terminal shows the progress")
    max_minibatch: int = ignored(8, "evaluation takes one image at a time")

    @field_validator("metrics")
    @classmethod
    def _types_are_texts(cls, metrics: Any) -> Any:
        for one in metrics.values() if isinstance(metrics, dict) else metrics:
            for key in ("type", "name") if isinstance(one, dict) else ():
                if not isinstance(one.get(key, ""), str):
                    raise ValueError(f"expected the `{key}` of a metric as text, got {one[key]!r}")
        return metrics

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
            if not spec.get("test_y_channel", False):
                spec.pop("test_y_channel", None)
            spec.pop("better", None)  # BasicSR's hint; the metric knows by itself
            specs.append(spec)
        return specs
