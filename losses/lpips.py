"""LPIPS (Zhang et al. 2018, arXiv:1801.03924) through the authors' package, for [0, 1] images.

The package ships the learned linear layers; the backbone comes from torchvision. Random weights
are never used in its place.
"""

import contextlib
import io
import urllib.request
import warnings
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlparse

import torch
from torch import Tensor, nn

from losses import functional
from losses.masks import follow, freeze
from losses.weights import load_state_dict

BACKBONE_URLS = {
    "alex": "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    "vgg": "https://download.pytorch.org/models/vgg16-397923af.pth",
}
MIN_SIDES = {"alex": 31, "vgg": 16}  # the last pool of a smaller image would have no pixel


def backbone_file(net: str) -> Path:
    """Where torchvision keeps the weights of LPIPS's backbone, whether they are there or not."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(BACKBONE_URLS[net]).path).name


def find_backbone(net: str, weights: str | Path | None, timeout: float = 5.0) -> Path:
    """Return the backbone's file: the given one, the cached one, or a fresh download.

    Raises:
        FileNotFoundError: it cannot be had; the message says which file goes where.
    """
    if weights is not None:
        path = Path(weights).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"LPIPS backbone {path} does not exist")
        return path
    path = backbone_file(net)
    if path.is_file():
        return path
    url = BACKBONE_URLS[net]
    try:
        urllib.request.urlopen(url, timeout=timeout).close()  # noqa: S310  # fail fast offline
        torch.hub.load_state_dict_from_url(url, progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise FileNotFoundError(
            f"LPIPS needs torchvision's weights {path.name}, which could not be downloaded "
            f"({type(error).__name__}): put {url} into torch hub's folder checkpoints/, or give "
            "`weights: FILE`"
        ) from error
    return path


class LPIPS(nn.Module):
    """LPIPS distance, lower is better, 0 for identical images.

    Args:
        net: "alex" (the one that papers report) or "vgg".
        weights: torchvision's file of the backbone; None to use the cached or downloaded one.
        reduction: "mean", "sum" or "none" over the batch.

    Raises:
        ValueError: an unknown net, or a file that is not this backbone.
        FileNotFoundError: the backbone's weights cannot be had.
    """

    higher_is_better = False

    def __init__(
        self, net: str = "alex", weights: str | Path | None = None, reduction: str = "mean"
    ):
        super().__init__()
        if net not in BACKBONE_URLS:
            raise ValueError(f"expected net in {tuple(BACKBONE_URLS)}, got {net!r}")
        self.reduction = functional.check_reduction(reduction)
        path = find_backbone(net, weights)
        self.min_side = MIN_SIDES[net]
        self.network = freeze(_build(net, load_state_dict(path), path))

    def train(self, mode: bool = True) -> "LPIPS":
        """Stay in evaluation mode: the network is frozen."""
        return super().train(False)

    def features(self, image: Tensor) -> list[Tensor]:
        """Feature maps of (B, 3, H, W) RGB in [0, 1] with unit length over the channels."""
        from lpips import normalize_tensor  # imports torchvision, as `_build` did

        with torch.autocast(image.device.type, enabled=False):
            image = functional.at_least_float32(image)
            follow(self, image)
            maps = self.network.net(self.network.scaling_layer(2 * image - 1))
            return [normalize_tensor(one) for one in maps]

    def forward(
        self, prediction: Tensor, target: Tensor, of_target: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Compare a batch with its target.

        Args:
            prediction: (B, 3, H, W), RGB in [0, 1].
            target: (B, 3, H, W), RGB in [0, 1].
            of_target: what `features` returned for the target, where it is known.

        Returns:
            A scalar, or (B,) with reduction "none".

        Raises:
            ValueError: shapes differ, or images too small for the network.
        """
        functional.check_pair(prediction, target, channels=3)
        functional.check_side(prediction, self.min_side, "LPIPS")
        of_prediction = self.features(prediction)
        if of_target is None:
            with torch.no_grad():
                of_target = self.features(target.to(of_prediction[0].dtype))
        with torch.autocast(prediction.device.type, enabled=False):
            layers = zip(self.network.lins, of_prediction, of_target, strict=True)
            value = sum(layer((x - y) ** 2).mean((1, 2, 3)) for layer, x, y in layers)
        return functional.reduce(value, self.reduction)


def _build(net: str, state: dict[str, Tensor], path: Path) -> nn.Module:
    """Build the package's network without its own download, then fill in the backbone by name."""
    import lpips  # imports torchvision: only those who use LPIPS wait for it

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        network = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    own = network.net.state_dict()  # slice1.0.weight, ...: torchvision's index is the last number
    try:
        filled = {key: state[f"features.{key.split('.', 1)[1]}"] for key in own}
        network.net.load_state_dict(filled)
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{path}: expected torchvision weights of {net}: {error}") from error
    return network
