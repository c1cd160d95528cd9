"""What a network may offer beside `forward`, and one function for each that asks for it.

Every member of `Network` is optional: a network that lacks one, such as a foreign one, gets what
the function that asks says. `offer` writes down what is known of a network whose class is not ours.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor, nn

MULTIPLE = 8  # of a network that does not tell
COLOUR = 3
# what constructors call the channels of the image that the network takes, the surest name first
CHANNEL_ARGUMENTS = (
    *("inp_channels", "dd_in", "in_channels", "in_chans", "in_nc", "num_in_ch", "img_channel"),
    *("in_ch", "n_colors"),
)


class Network(Protocol):
    """A network for images, with everything that it may offer; only `forward` is a must.

    Args:
        inp_channels: channels of the images that it takes; see `image_channels`.
        multiple: what the sides of its images must be multiples of; see `size_multiple`.
        minimum: shortest side that it takes; see `smallest_side`.
        square: whether it takes square images only; see `takes_squares`.
        window_size: side of the windows that its attention works in; see `size_multiple`.
        channels_last: memory format that its features are to have, which may be set.
    """

    inp_channels: int
    multiple: int
    minimum: int
    square: bool
    window_size: int
    channels_last: bool

    def forward(self, image: Tensor) -> Tensor:
        """Restore images (B, inp_channels, H, W): (B, C, H, W) of the same size."""

    def checkpoint(self, which: str) -> None:
        """Keep less for the backward pass: "none", "level1" or "all"; see `checkpointing`."""

    def compile_parts(self) -> None:
        """Compile the parts that gain by it, in place; see `compiling`."""


def image_channels(network: nn.Module, default: int = COLOUR) -> int:
    """Channels of the images that a network takes.

    Args:
        network: any network.
        default: of a network that does not tell.

    Returns:
        Its `inp_channels`; else 1 where its first convolution takes one channel; else the default.
    """
    channels = getattr(network, "inp_channels", None)
    if channels is not None:
        return channels
    first = next((layer for layer in network.modules() if isinstance(layer, nn.Conv2d)), None)
    return 1 if first is not None and first.in_channels == 1 else default


def size_multiple(network: nn.Module) -> int:
    """What both sides of a network's images must be multiples of.

    Args:
        network: any network.

    Returns:
        Its `multiple`; else the smallest multiple of 8 and of its `window_size`, where it has one.
    """
    multiple = getattr(network, "multiple", None)
    if multiple is not None:
        return multiple
    window = getattr(network, "window_size", 1)
    return math.lcm(MULTIPLE, window) if isinstance(window, int) and window > 0 else MULTIPLE


def smallest_side(network: nn.Module) -> int:
    """Shortest side of the images that a network takes: its `minimum`, or 1."""
    return getattr(network, "minimum", 1)


def takes_squares(network: nn.Module) -> bool:
    """Whether a network takes square images only: its `square`, or no."""
    return getattr(network, "square", False)


def checkpointing(network: nn.Module) -> Callable[[str], None] | None:
    """Return the function that makes a network keep less: its `checkpoint`, or None."""
    return getattr(network, "checkpoint", None)


def compiling(network: nn.Module) -> Callable[[], None]:
    """Return the function that compiles a network: its `compile_parts`, or `compile` as a whole."""
    return getattr(network, "compile_parts", network.compile)


def arranges_memory(network: nn.Module) -> bool:
    """Whether a network sees to the memory format of its features: has it `channels_last`?"""
    return hasattr(network, "channels_last")


def offer(network: nn.Module, **members: Any) -> None:
    """Write members of `Network` down at a network that does not have them.

    Args:
        network: of any class.
        members: what it offers; a member that it has stays as it is.
    """
    for name, value in members.items():
        assert name in Network.__annotations__, name
        if not hasattr(network, name):
            setattr(network, name, value)


def offer_arguments(network: nn.Module, arguments: Mapping[str, Any]) -> None:
    """Write down what the arguments of its constructor tell of a network: channels, windows.

    Args:
        network: of any class.
        arguments: all arguments that it was made with, defaults included.
    """
    for member, names in (
        ("inp_channels", CHANNEL_ARGUMENTS),
        ("window_size", ("window_size",)),
    ):
        values = [arguments[name] for name in names if isinstance(arguments.get(name), int)]
        if values:
            offer(network, **{member: values[0]})
