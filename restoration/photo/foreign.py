"""HEIC and raw files, by packages of the extra `[photo]`."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import ImageCms

from restoration.photo import tiff
from restoration.photo.metadata import upright_exif, upright_xmp
from restoration.photo.photograph import NotRead, Photograph, split_alpha

HEIF = (".heic", ".heif", ".hif")
RAW = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef")
QUALITY = 95
SRGB_GAMMA = (2.4, 12.92)  # as libraw takes it: power, slope at black
NCLX = (
    *("color_primaries", "transfer_characteristics", "matrix_coefficients"),
    "full_range_flag",
)


def _need(module: str, package: str, what: str) -> None:
    """Raise NotRead where a package is missing."""
    if find_spec(module) is None:
        raise NotRead(f"{what} needs {package}: pip install {package}")


def read_heif(path: Path) -> Photograph:
    """Read the main image of a HEIC file, upright, 8 bits, or 16 where it has more."""
    _need("pillow_heif", "pillow-heif", "HEIC")
    import pillow_heif

    file = pillow_heif.open_heif(path, convert_hdr_to_8bit=False)
    image = file[file.primary_index]
    stored = np.array(image)
    pixels, alpha = split_alpha(stored, image.has_alpha)
    exif, xmp, icc = (image.info.get(name) for name in ("exif", "xmp", "icc_profile"))
    settings = {"mode": image.mode, "bit_depth": image.info.get("bit_depth", 8)}
    if not icc:
        nclx = image.info.get("nclx_profile") or {}
        settings |= {name: int(nclx[name]) for name in NCLX if name in nclx}
    notes = [f"the main one of its {len(file)} images alone"] if len(file) > 1 else []
    return Photograph(
        pixels,
        "HEIF",
        alpha,
        exif=upright_exif(exif, 1) if exif else None,  # libheif turned the pixels
        icc=icc or None,
        xmp=upright_xmp(xmp) if xmp else None,
        settings=settings,
        notes=notes,
    )


def write_heif(photograph: Photograph, path: Path) -> None:
    """Write a photograph as HEIC, at quality 95 and 8, 10 or 12 bits as it came."""
    import pillow_heif

    settings = photograph.settings
    colour = {name: settings[name] for name in NCLX if name in settings}
    height, width = photograph.pixels.shape[:2]
    metadata = {"exif": photograph.exif, "xmp": photograph.xmp, "icc_profile": photograph.icc}
    pillow_heif.encode(
        settings["mode"],
        (width, height),
        np.ascontiguousarray(photograph.stored).tobytes(),
        path,
        quality=QUALITY,
        save_to_12bit=settings["bit_depth"] > 10,
        **{name: value for name, value in metadata.items() if value},
        **colour,
    )


def read_raw(path: Path) -> Photograph:
    """Develop a raw file: the camera's white balance and exposure, sRGB, 16 bits, upright."""
    _need("rawpy", "rawpy", "a raw file")
    import rawpy

    with rawpy.imread(str(path)) as raw:
        pixels = raw.postprocess(
            use_camera_wb=True, no_auto_bright=True, gamma=SRGB_GAMMA, output_bps=16
        )
    photograph = Photograph(pixels, "RAW", notes=["developed: 16 bits, sRGB"])
    data = path.read_bytes()
    if data.startswith(tiff.SIGNATURES):
        tiff.add_tags(photograph, data)
    photograph.icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return photograph
