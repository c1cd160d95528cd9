"""What `restoration denoise` makes of every kind of photograph, as a table; pixels by Pillow.

    python experiments/benchmarks/photographs.py --out experiments/results/photographs/table.md

Small files of each kind are written, denoised by the command at strength 0, which has to give back
what went in, and read again by Pillow (16 bits and floating point by tifffile and OpenCV).
"""

import argparse
import struct
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageCms, ImageOps

from restoration.cli import main

ORIENTATION, MAKE = 0x112, 0x10F
HEADING = ("file", "comes back as", "orientation", "EXIF", "profile", "largest difference")
# colorants of red, green and blue, adapted to D50, in CIE XYZ
GAMUTS = {
    "adobe_rgb": ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)),
    "display_p3": ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)),
}


def waves(channels: int = 3) -> np.ndarray:
    """(40, 64, channels), smooth, so that JPEG keeps it nearly as it is."""
    y, x = np.mgrid[:40, :64]
    parts = [0.5 + 0.35 * np.sin(x / (9 + c)) * np.cos(y / (11 - c)) for c in range(channels)]
    return np.stack(parts, axis=2)


def profile_of(gamut: str) -> bytes:
    """LittleCMS's sRGB profile with the colorants of another gamut."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack_from(">I", profile, 128)
    for place in range(132, 132 + 12 * count, 12):
        name, start, _ = struct.unpack_from(">4sII", profile, place)
        if name in (b"rXYZ", b"gXYZ", b"bXYZ"):
            values = GAMUTS[gamut][b"rgb".index(name[:1])]
            struct.pack_into(">3i", profile, start + 8, *(round(v * 65536) for v in values))
    return bytes(profile)


def write_samples(folder: Path) -> None:
    """Write a file of every kind."""
    stored = (waves(4) * 255).round().astype(np.uint8)
    colour = Image.fromarray(stored[..., :3])
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION], exif[MAKE] = orientation, "Maker"
        for suffix in ("jpg",) if orientation != 6 else ("jpg", "png", "tif", "webp"):
            settings = {"webp": {"lossless": True}, "jpg": {"quality": 95}}.get(suffix, {})
            colour.save(folder / f"orientation_{orientation}.{suffix}", exif=exif, **settings)
    for gamut in GAMUTS:
        for suffix in ("jpg", "png", "tif"):
            colour.save(folder / f"{gamut}.{suffix}", icc_profile=profile_of(gamut))
    Image.fromarray(stored).save(folder / "alpha.png")
    Image.fromarray(stored).save(folder / "alpha.webp", lossless=True)
    for suffix in ("jpg", "png", "tif", "bmp"):
        Image.fromarray(stored[..., 0]).save(folder / f"grey.{suffix}")
    for suffix in ("jpg", "tif"):
        Image.fromarray(stored, "CMYK").save(folder / f"cmyk.{suffix}")
    deep = (waves() * 65535).round().astype(np.uint16)
    cv2.imwrite(str(folder / "16_bits.png"), deep)
    tifffile.imwrite(folder / "16_bits.tif", deep, photometric="rgb")
    for dtype in (np.float16, np.float32):
        values = waves().astype(dtype)
        tifffile.imwrite(folder / f"{np.dtype(dtype).name}.tif", values, photometric="rgb")
    (folder / "broken.jpg").write_bytes(b"no photograph")
    (folder / "raw.cr3").write_bytes(b"no raw file")
    if find_spec("pillow_heif") is not None:
        import pillow_heif

        pillow_heif.from_pillow(colour).save(folder / "photo.heic", quality=95)


def read(path: Path) -> tuple[np.ndarray, str, dict[int, object], bytes | None]:
    """Pixels as they are meant to be seen, in words what they are, EXIF, and profile."""
    deep = path.stem == "16_bits" or path.stem.startswith("float")
    if deep and path.suffix == ".tif":
        pixels = tifffile.imread(path)
        return pixels, f"{pixels.dtype} {pixels.shape}", {}, None
    if deep:
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        return pixels, f"{pixels.dtype} {pixels.shape}", {}, None
    if path.suffix == ".heic":
        import pillow_heif

        pillow_heif.register_heif_opener()
    with Image.open(path) as image:
        exif, profile = dict(image.getexif()), image.info.get("icc_profile")
        upright = ImageOps.exif_transpose(image)
        size = f"{upright.width}x{upright.height}"
        return np.asarray(upright), f"{image.format} {image.mode} {size}", exif, profile


def outcomes(source: Path, results: Path) -> Iterator[tuple[str, ...]]:
    """Yield a row for every file."""
    for path in sorted(source.iterdir()):
        target = results / path.name
        if not target.is_file():
            yield path.name, "not denoised, and said so", "", "", "", ""
            continue
        before, _, exif_before, profile_before = read(path)
        after, what, exif, profile = read(target)
        difference = np.abs(after.astype(float) - before).max()
        turned = f"{exif_before.get(ORIENTATION, 1)} to {exif.get(ORIENTATION, 1)}"
        yield (
            path.name,
            what,
            turned if ORIENTATION in exif_before else "",
            ("kept" if exif.get(MAKE) == "Maker" else "LOST") if exif_before.get(MAKE) else "",
            ("kept" if profile == profile_before else "LOST") if profile_before else "",
            f"{difference:g}",
        )


def run() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="Markdown file to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, results = Path(folder) / "in", Path(folder) / "out"
        source.mkdir()
        write_samples(source)
        command = ["denoise", str(source), "--out", str(results), "--strength", "0"]
        code = main([*command, "--engine", "torch", "--device", "cpu"])
        if code != 1:
            raise SystemExit(f"expected exit code 1, for two files are no images, got {code}")
        rows = [HEADING, ("---",) * len(HEADING), *outcomes(source, results)]
    text = "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    run()
