"""Train, evaluate and compare image-restoration networks.

    checkpoint = restoration.train("options/demo.yml", name="mine")
    restoration.test("options/demo.yml", path={"pretrain_network_g": checkpoint})
    network = restoration.build_network("restormer_xs")
    restoration.load_network(network, checkpoint)
    restored = restoration.restore(network, noisy)  # (B, 3, H, W) in [0, 1]

Each name is imported when it is first used, so that `import restoration` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restoration.archs import build as build_network
    from restoration.archs import load_network, restore
    from restoration.evaluate.sets import open_images
    from restoration.train.experiment import train

__all__ = [
    "build_network",
    "compare",
    "load_network",
    "open_images",
    "restore",
    "test",
    "train",
]
__version__ = "0.1.0"

_FUNCTIONS = {
    "build_network": ("restoration.archs", "build"),
    "load_network": ("restoration.archs", "load_network"),
    "open_images": ("restoration.evaluate.sets", "open_images"),
    "restore": ("restoration.archs", "restore"),
}
_CALLABLE_MODULES = ("compare", "test", "train")  # see restoration.common.door


def __getattr__(name: str) -> Any:
    if name in _CALLABLE_MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _FUNCTIONS:
        home, function = _FUNCTIONS[name]
        return getattr(import_module(home), function)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_CALLABLE_MODULES, *_FUNCTIONS])
