"""Train, evaluate and compare image-restoration networks.

    checkpoint = restoration.train("options/demo.yml", name="mine")
    restoration.test("options/demo.yml", path={"pretrain_network_g": checkpoint})
    network = restoration.build_network({"type": "restormer_xs"})
    restoration.load_network(network, checkpoint)
    restored = restoration.restore(network, noisy)  # (B, 3, H, W) in [0, 1]
    pixels = restoration.denoise("photo.jpg", model=checkpoint)  # (H, W, 3), as in the file

Each name is imported when it is first used, so that `import restoration` costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restoration.archs import build_network, load_network, restore
    from restoration.compare.api import compare
    from restoration.data import open_images
    from restoration.evaluate.api import test
    from restoration.photo.api import denoise
    from restoration.train.api import train

__all__ = [
    "build_network",
    "compare",
    "denoise",
    "load_network",
    "open_images",
    "restore",
    "test",
    "train",
]
__version__ = "0.1.0"

_HOMES = {
    "build_network": "restoration.archs",
    "denoise": "restoration.photo.api",
    "load_network": "restoration.archs",
    "open_images": "restoration.data",
    "restore": "restoration.archs",
}
_CALLABLE_MODULES = ("compare", "test", "train")  # see restoration.common.callable_module


def __getattr__(name: str) -> Any:
    if name in _CALLABLE_MODULES or name in _HOMES:
        from losses.extras import import_named

        module = import_named(_HOMES.get(name, f"{__name__}.{name}"), f"{__name__}.{name}")
        return getattr(module, name) if name in _HOMES else module
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
