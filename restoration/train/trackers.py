"""Where the values of a training go beside its files: TensorBoard, and Weights & Biases."""

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from losses.extras import missing
from restoration.common import durable
from restoration.options.load import plain
from restoration.options.schema import Options

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

RUN_ID = "wandb_id.txt"  # in the folder of a training: the run of W&B that it continues with


class Trackers:
    """Hands values and images on to what follows a training.

    Args:
        tb: TensorBoard's writer, or None.
        wandb: a run of W&B, or None.
    """

    def __init__(self, tb: "SummaryWriter | None" = None, wandb: Any = None) -> None:
        self.tb, self.wandb = tb, wandb

    def __bool__(self) -> bool:
        return self.tb is not None or self.wandb is not None

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Hand on the values of a step by tag."""
        if self.tb is not None:
            for tag, value in values.items():
                self.tb.add_scalar(tag, value, step)
        if self.wandb is not None and values:
            self.wandb.log(dict(values), step=step)

    def pictures(self, step: int, pictures: Mapping[str, Tensor]) -> None:
        """Hand on (3, H, W) images in [0, 1] by tag."""
        if self.tb is not None:
            for tag, picture in pictures.items():
                self.tb.add_image(tag, picture, step)
        if self.wandb is not None and pictures:
            wandb = importlib.import_module("wandb")
            images = {tag: wandb.Image(_to_uint8(picture)) for tag, picture in pictures.items()}
            self.wandb.log(images, step=step)

    def flush(self) -> None:
        """Bring what was handed on to the disk."""
        if self.tb is not None:
            self.tb.flush()

    def close(self, failed: bool = False) -> None:
        """End; W&B is told whether the training failed."""
        if self.tb is not None:
            self.tb.close()
        if self.wandb is not None:
            self.wandb.finish(exit_code=int(failed))


def _to_uint8(picture: Tensor) -> np.ndarray:
    """(3, H, W) in [0, 1] -> (H, W, 3) uint8."""
    return np.rint(picture.clamp(0, 1).permute(1, 2, 0).cpu().numpy() * 255).astype(np.uint8)


def check_wandb(options: Options) -> None:
    """Look for what `logger.wandb` needs before a training starts.

    Raises:
        ValueError: the package wandb is not installed.
    """
    wanted = options.logger.wandb.project
    if wanted is not None and importlib.util.find_spec("wandb") is None:
        raise missing("wandb", f"logger.wandb: project {wanted}")


def open_wandb(options: Options, folder: Path, goes_on: bool) -> Any:
    """Begin a run of W&B, or continue with that of the folder; None where no project is given.

    Args:
        options: of the training; all of them become the run's config.
        folder: of the training; what W&B keeps on this machine lies in its `wandb/`.
        goes_on: whether the training continues from a state.

    Raises:
        ValueError: W&B refuses, as where nobody is logged in.
    """
    asked = options.logger.wandb
    if asked.project is None:
        return None
    wandb = importlib.import_module("wandb")
    noted = folder / RUN_ID
    known = noted.read_text("utf-8").strip() if goes_on and noted.is_file() else None
    try:
        run = wandb.init(
            project=asked.project,
            entity=asked.entity,
            name=options.name,
            id=asked.resume_id or known,
            resume="allow",
            mode=asked.mode,
            dir=str(folder),
            config=plain(options),
        )
    except wandb.errors.Error as error:
        raise ValueError(
            f"logger.wandb: {error}: `wandb login`, or `mode: offline` and `wandb sync` later"
        ) from error
    durable.write_text(noted, f"{run.id}\n")
    return run
