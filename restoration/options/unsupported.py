"""What files of BasicSR's family ask for and is not done here: a line for each subject.

One such subject comes with dozens of keys; an error for each of them would say less.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

VIDEO_TYPES = ("Video", "REDS", "Vimeo", "EDVR")
VIDEO_KEYS = ("num_frame", "interval_list", "flip_seq")
SYNTHESIS = ("StyleGAN2Model", "HiFaceGANModel", "FFHQDataset")
DISCRIMINATOR = ("gan_opt", "optim_d", "net_d_iters", "net_d_init_iters")
SYNTHETIC_KEYS = ("kernel_list", "blur_kernel_size", "second_blur_prob", "degradation_type")
SCALES = ("upscale", "scale", "up_scale", "upsampling")  # of a network's arguments


def unsupported(options: Mapping[str, Any]) -> list[str]:
    """Say what options ask for and is not done here, a line for each subject.

    Args:
        options: an option file's mapping, not checked yet.
    """
    lines = (subject(options) for subject in SUBJECTS)
    return [line for line in lines if line is not None]


def _section(options: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = options.get(name)
    return section if isinstance(section, Mapping) else {}


def _sets(options: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The image sets, and their keys in the file."""
    for name, one in _section(options, "datasets").items():
        if isinstance(one, Mapping):
            yield f"datasets.{name}", one


def _types(options: Mapping[str, Any]) -> dict[str, str]:
    """Types of the model and of the image sets by their keys."""
    found = {f"{key}.type": one.get("type") for key, one in _sets(options)}
    found |= {"model_type": options.get("model_type")}
    return {key: value for key, value in found.items() if isinstance(value, str)}


def _first_type(options: Mapping[str, Any], parts: tuple[str, ...]) -> str | None:
    """The first type that has one of these parts in its name, with its key."""
    for key, value in _types(options).items():
        if any(part in value for part in parts):
            return f"`{key}` {value}"
    return None


def _first_key(options: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    """The first of these keys that an image set has."""
    for where, one in _sets(options):
        for key in keys:
            if one.get(key) is not None:
                return f"`{where}.{key}`"
    return None


def _super_resolution(options: Mapping[str, Any]) -> str | None:
    network = _section(options, "network_g")
    scales = {"scale": options.get("scale", 1)}
    scales |= {f"network_g.{key}": network.get(key, 1) for key in SCALES}
    for key, scale in scales.items():
        if isinstance(scale, int | float) and scale != 1:
            return f"super-resolution: `{key}` {scale} is not trained here, where images keep size"
    return None


def _video(options: Mapping[str, Any]) -> str | None:
    found = _first_type(options, VIDEO_TYPES) or _first_key(options, VIDEO_KEYS)
    return found and f"video: {found} is not read here, where every image stands alone"


def _adversarial(options: Mapping[str, Any]) -> str | None:
    keys = ["network_d"] if options.get("network_d") is not None else []
    train = _section(options, "train")
    keys += [f"train.{key}" for key in DISCRIMINATOR if train.get(key) is not None]
    listed = ", ".join(f"`{key}`" for key in keys)
    return f"adversarial training: no discriminator is trained here: {listed}" if keys else None


def _synthesis(options: Mapping[str, Any]) -> str | None:
    found = _first_type(options, SYNTHESIS)
    return found and f"image synthesis: {found} is not trained here, where inputs are images"


def _stereo(options: Mapping[str, Any]) -> str | None:
    found = _first_type(options, ("Stereo", "DualPixel")) or _first_key(options, ("dataroot_lqL",))
    return found and f"two views: {found} is not read here, where a network sees one image"


def _without_target(options: Mapping[str, Any]) -> str | None:
    found = _first_type(options, ("SingleImage",))
    return found and (
        f"images without a clean partner: {found} cannot be measured; `restoration denoise FOLDER "
        "--model CHECKPOINT` restores them"
    )


def _synthetic(options: Mapping[str, Any]) -> str | None:
    types = ("RealESRGAN", "RealESRNet", "FFHQDegradation")
    found = _first_type(options, types) or _first_key(options, SYNTHETIC_KEYS)
    return found and (
        f"degradations of Real-ESRGAN: {found} is not made here; give `degradation` a list of "
        "gaussian, poisson_gaussian, camera, jpeg, blur, downsample, or one of your own"
    )


def _luma(options: Mapping[str, Any]) -> str | None:
    found = [where for where, one in _sets(options) if one.get("color") == "y"]
    return (
        f"luma alone: `{found[0]}.color` y is not read here; `in_ch: 1` is grey" if found else None
    )


def _lists(options: Mapping[str, Any]) -> str | None:
    found = _first_key(options, ("meta_info_file", "meta_info"))
    return found and (
        f"lists of images: {found} is not read here, where every image of a folder counts: leave "
        "it out, or link the images into a folder of their own"
    )


SUBJECTS: tuple[Callable[[Mapping[str, Any]], str | None], ...] = (
    _super_resolution,
    _video,
    _adversarial,
    _synthesis,
    _stereo,
    _without_target,
    _synthetic,
    _luma,
    _lists,
)
