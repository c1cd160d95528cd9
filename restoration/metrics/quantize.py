"""What a restored image becomes before it is measured or written: eight bits per channel."""

from torch import Tensor


def to_uint8_range(x: Tensor) -> Tensor:
    """Clamp to [0, 1] and round to the 256 levels of an 8-bit image, still as floats.

    Args:
        x: image of any shape; values outside [0, 1] are what a network may produce.

    Returns:
        Same shape and type, each value k / 255 with k in 0..255; halves round to even, as in
        BasicSR's `tensor2img`.

    Raises:
        ValueError: x is not floating point.
    """
    if not x.is_floating_point():
        raise ValueError(f"expected floating-point values in [0, 1], got {x.dtype}")
    return x.clamp(0, 1).mul_(255).round_().div_(255)  # images may be large: one copy
