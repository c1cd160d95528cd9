"""Trying a network on a flat image before any work starts."""

import torch
from torch import Tensor, nn

from restoration.archs.inference import evaluating, restore
from restoration.archs.protocol import image_channels

PROBE_SIDE = 64  # pixels of the flat image that a network is tried on
# what networks raise at images that they are not made for
FOREIGN_ERRORS = (RuntimeError, AssertionError, LookupError, TypeError, AttributeError)


def check_network(
    network: nn.Module,
    channels: int,
    side: int,
    device: torch.device,
    padded: bool,
    noise_map: bool = False,
) -> None:
    """Try a network on one flat image, so that what does not fit is found before work starts.

    Args:
        network: on the device.
        channels: of the images.
        side: of the image.
        device: where to compute.
        padded: pad, and repeat grey images, as tests do; training runs the network as it is.
        noise_map: whether the network takes the noise level as one more channel.

    Raises:
        ValueError: the network is made for other images, or changes their shape.
    """
    shown = channels + noise_map
    takes = image_channels(network, default=shown)
    if takes != shown and not (padded and shown == 1):
        raise ValueError(
            f"expected a network for images of {channels} channels (`in_ch` of the data set), "
            f"got one for {takes} (`network_g.inp_channels`)"
        )
    check_size(network, channels, (side, side), device, padded, noise_map)


def check_size(
    network: nn.Module,
    channels: int,
    size: tuple[int, int],
    device: torch.device,
    padded: bool = True,
    noise_map: bool = False,
) -> None:
    """Try a network on one flat image of a height and a width; see `check_network`.

    Raises:
        ValueError: the network fails there, or changes the shape.
    """
    image = torch.full((1, channels + noise_map, *size), 0.5, device=device)
    answer = _answer(network, image, padded)
    if answer.shape != image[:, :channels].shape:
        raise ValueError(
            f"expected a network that keeps {tuple(image.shape)}, got {tuple(answer.shape)}"
        )


def answers_finite(
    network: nn.Module, channels: int, side: int, device: torch.device, noise_map: bool = False
) -> bool:
    """Whether a network's answer to a flat image is finite, and so its weights are of use.

    See `check_network` for the arguments.
    """
    image = torch.full((1, channels + noise_map, side, side), 0.5, device=device)
    return bool(_answer(network, image, padded=False).isfinite().all())


def _answer(network: nn.Module, image: Tensor, padded: bool) -> Tensor:
    """What a network makes of an image in evaluation mode; foreign errors are ValueErrors."""
    try:
        with torch.no_grad(), evaluating(network):
            answer = restore(network, image) if padded else network(image)
    except torch.cuda.OutOfMemoryError:
        raise
    except FOREIGN_ERRORS as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"expected a network for images {tuple(image.shape)}, got one that fails: {reason[0]}"
        ) from error
    if not isinstance(answer, Tensor):
        raise ValueError(f"expected a network that returns images, got {type(answer).__name__}")
    return answer
