"""From typed options to the sample stream of a training."""

from typing import TypeVar, cast

from restoration.data import (
    CachedSource,
    CropDataset,
    DenoisingDataset,
    Mixing,
    PairedDataset,
    PairedSource,
    PatchSchedule,
    Source,
    open_images,
    open_pairs,
)
from restoration.data.custom import open_custom
from restoration.data.grey import in_channels
from restoration.data.readable import only_readable
from restoration.degradations import BatchDegradation, Chain
from restoration.options.datasets import TrainSet
from restoration.options.schema import Options
from restoration.options.training import MixingAugs, Train

GIGABYTE = 1024**3
AnySource = TypeVar("AnySource", bound=Source)


def mixing_of(options: MixingAugs) -> Mixing | None:
    """Say how samples are mixed, in the words of the sample stream."""
    if not (options.mixup or options.cutmix or options.cutblur):
        return None
    ways = {"mixup": options.mixup, "cutmix": options.cutmix, "cutblur": options.cutblur}
    return Mixing(**ways, beta=options.mixup_beta, identity=options.use_identity)


def _readable(source: AnySource, options: TrainSet) -> AnySource:
    """Leave out what cannot be read, if so wanted."""
    if options.on_error == "raise":
        return source
    return cast(AnySource, only_readable(source, options.dataroot_gt))


def _cached(source: Source, gigabytes: float) -> Source:
    return CachedSource(source, int(gigabytes * GIGABYTE)) if gigabytes else source


def build_dataset(options: TrainSet, recipe: Train, seed: int) -> CropDataset:
    """Open the training images and define the sample stream over them.

    Raises:
        ValueError: an image without its partner, or degradations that make no sense.
        FileNotFoundError: images are missing.
    """
    turn, mixing = options.geometric_augs, mixing_of(recipe.mixing_augs)
    if options.pairs:
        assert options.dataroot_lq is not None
        pairs = PairedSource(
            *open_pairs(
                options.dataroot_gt,
                options.dataroot_lq,
                options.filename_tmpl,
                options.max_pixels,
            )
        )
        pairs = _readable(pairs, options)
        sources, share = (pairs.clean, pairs.degraded), options.cache_gb / 2
        clean, degraded = (_cached(in_channels(s, options.in_ch), share) for s in sources)
        return PairedDataset(PairedSource(clean, degraded), seed, turn, mixing)
    if options.custom:
        source = open_custom(options.type, options.dataroot_gt, options.arguments, options.in_ch)
        if isinstance(source, PairedSource):
            return PairedDataset(_readable(source, options), seed, turn, mixing)
    else:
        source = open_images(options.dataroot_gt, options.in_ch, options.max_pixels)
    source = _readable(source, options)
    source = _cached(source, options.cache_gb)
    return DenoisingDataset(source, seed, Chain(options.degradations), turn, mixing)


def build_degradation_of(options: TrainSet, pairs: bool) -> BatchDegradation:
    """Build what turns a batch of the stream, of pairs or not, into network input and target."""
    chain = None if pairs else Chain(options.degradations)
    return BatchDegradation(chain, options.noise_map)


def open_stream(options: Options) -> tuple[Train, TrainSet, PatchSchedule, CropDataset]:
    """Open what a run trains on: its two sections, the patches of every step, the sample stream.

    Raises:
        ValueError: the options miss a part, or a pair is none.
        FileNotFoundError: images are missing.
    """
    recipe, images = options.train, options.datasets.train
    if recipe is None or images is None:
        raise ValueError("training needs the sections `train` and `datasets.train`")
    patches = PatchSchedule(*images.stages)
    dataset = build_dataset(images, recipe, options.manual_seed)
    dataset.check_sizes(max(images.stages[2]))
    return recipe, images, patches, dataset
