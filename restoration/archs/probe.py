"""Trying a network on a flat image before any work starts."""

import torch
from torch import nn

from restoration.archs.inference import restore

PROBE_SIDE = 64  # pixels of the flat image that a network is tried on


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
    takes = getattr(network, "inp_channels", shown)
    if takes != shown and not (padded and shown == 1):
        raise ValueError(
            f"expected a network for images of {channels} channels (`in_ch` of the data set), "
            f"got one for {takes} (`network_g.inp_channels`)"
        )
    image = torch.full((1, shown, side, side), 0.5, device=device)
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            out = restore(network, image) if padded else network(image)
    except torch.cuda.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"expected a network for images {tuple(image.shape)}, got one that fails: {reason}"
        ) from error
    finally:
        network.train(training)
    if out.shape != image[:, :channels].shape:
        raise ValueError(
            f"expected a network that keeps {tuple(image.shape)}, got {tuple(out.shape)}"
        )
