"""Pictures, the reproducible sample stream, and noise."""

from restoration.data.dataset import DenoisingDataset
from restoration.data.grey import GreySource
from restoration.data.images import (
    EXTENSIONS,
    read_float,
    read_image,
    read_rgb8,
    to_float,
    to_uint8,
    write_png,
)
from restoration.data.loader import BatchPlan, make_loader
from restoration.data.patch_schedule import PatchSchedule
from restoration.data.sampling import Draw, check_sigma, draw, epoch_order, symmetric
from restoration.data.sources import (
    PHOTOGRAPHS,
    CachedSource,
    FolderSource,
    LmdbSource,
    SkimageSource,
    Source,
    make_lmdb,
    open_source,
)
from restoration.degradations.gaussian import corrupt, evaluation_noise

__all__ = [
    "EXTENSIONS",
    "PHOTOGRAPHS",
    "BatchPlan",
    "CachedSource",
    "DenoisingDataset",
    "Draw",
    "FolderSource",
    "GreySource",
    "LmdbSource",
    "PatchSchedule",
    "SkimageSource",
    "Source",
    "check_sigma",
    "corrupt",
    "draw",
    "epoch_order",
    "evaluation_noise",
    "make_lmdb",
    "make_loader",
    "open_source",
    "read_float",
    "read_image",
    "read_rgb8",
    "symmetric",
    "to_float",
    "to_uint8",
    "write_png",
]
