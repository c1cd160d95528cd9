"""Packages that only some parts need, and the extra of this distribution that installs each."""

import importlib
from types import ModuleType

DISTRIBUTION = "perceptual-restoration"  # on the package index; imported as losses and restoration
OTHERS = {  # what [train] leaves out, by the name that is imported
    "basicsr": "basicsr",
    "imagecodecs": "photo",
    "onnx": "fast",
    "onnxruntime": "fast",
    "onnxscript": "fast",
    "openpyxl": "masks",
    "openvino": "openvino",
    "pillow_heif": "photo",
    "piq": "masks",
    "pycvvdp": "masks",
    "rawpy": "photo",
    "spandrel": "archs",
    "wandb": "wandb",
}
TRAIN = (
    *("PIL", "cv2", "einops", "huggingface_hub", "jinja2", "lmdb", "lpips", "matplotlib"),
    *("pydantic", "pydantic_core", "rich", "scipy", "skimage", "tensorboard", "tifffile", "timm"),
    *("torchmetrics", "torchvision", "yaml"),
)
EXTRAS = {**OTHERS, **dict.fromkeys(TRAIN, "train")}


# [basicsr] also brings tb-nightly, with which TensorBoard does not start
BASICSR = (
    "pip install requests tqdm cython && pip install --no-deps --no-build-isolation basicsr==1.4.2"
)


class MissingExtra(ModuleNotFoundError, ValueError):
    """A package is not installed that an extra of ours brings; says which."""


def install_command(extra: str) -> str:
    """Write what installs an extra: pip install 'perceptual-restoration[train]'."""
    return BASICSR if extra == "basicsr" else f"pip install '{DISTRIBUTION}[{extra}]'"


def missing(module: str, what: str) -> MissingExtra:
    """Make the error that names the extra with a module.

    Args:
        module: name that is imported, of `EXTRAS`.
        what: what needs it, as the beginning of a sentence.
    """
    top = module.partition(".")[0]
    text = f"{what} needs {top}, which is not installed: {install_command(EXTRAS[top])}"
    return MissingExtra(text, name=module)


def import_named(module: str, what: str) -> ModuleType:
    """Import a module, or say which extra has what it imports.

    Args:
        module: its name.
        what: what needs it, as the beginning of a sentence.

    Raises:
        MissingExtra: a package that an extra brings is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise name_extra(error, what) from error


def name_extra(error: ModuleNotFoundError, what: str) -> ModuleNotFoundError:
    """Replace Python's word on a missing module by ours, where an extra brings that module.

    Args:
        error: of an import.
        what: what needs the module, as the beginning of a sentence.

    Returns:
        `MissingExtra`, or the error itself where the module is none of ours.
    """
    known = not isinstance(error, ValueError) and (error.name or "").partition(".")[0] in EXTRAS
    return missing(error.name or "", what) if known else error
