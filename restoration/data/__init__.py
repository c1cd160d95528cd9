"""Images and the reproducible sample stream."""

from restoration.data.dataroot import open_source
from restoration.data.dataset import CropDataset, DenoisingDataset, PairedDataset
from restoration.data.grey import GreySource, open_images
from restoration.data.images import (
    EXTENSIONS,
    read_float,
    read_image,
    read_rgb8,
    to_float,
    to_uint8,
    write_png,
)
from restoration.data.lmdb_source import LmdbSource, make_lmdb
from restoration.data.loader import BatchPlan, make_loader
from restoration.data.paired import PairedSource, open_pairs
from restoration.data.patch_schedule import PatchSchedule
from restoration.data.photographs import PHOTOGRAPHS, SkimageSource
from restoration.data.sampling import Draw, Mixing, draw, epoch_order, symmetric
from restoration.data.sources import CachedSource, FolderSource, Source

__all__ = [
    "EXTENSIONS",
    "PHOTOGRAPHS",
    "BatchPlan",
    "CachedSource",
    "CropDataset",
    "DenoisingDataset",
    "Draw",
    "FolderSource",
    "GreySource",
    "LmdbSource",
    "Mixing",
    "PairedDataset",
    "PairedSource",
    "PatchSchedule",
    "SkimageSource",
    "Source",
    "draw",
    "epoch_order",
    "make_lmdb",
    "make_loader",
    "open_images",
    "open_pairs",
    "open_source",
    "read_float",
    "read_image",
    "read_rgb8",
    "symmetric",
    "to_float",
    "to_uint8",
    "write_png",
]
