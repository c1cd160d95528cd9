"""Where published ImageNet weights are found: a cache of this machine, or one download."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from urllib.parse import urlparse

import torch

TORCHVISION_URLS = {
    "alexnet": "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    "vgg16": "https://download.pytorch.org/models/vgg16-397923af.pth",
}
HUB_FILE = "model.safetensors"
_may_download = ContextVar("_may_download", default=True)


@contextmanager
def offline() -> Iterator[None]:
    """Take only what is on this machine, as long as the block lasts: nothing is downloaded."""
    token = _may_download.set(False)
    try:
        yield
    finally:
        _may_download.reset(token)


def _reach(url: str, timeout: float) -> None:
    """Fail fast where there is no network, or it is not wanted. Raises OSError."""
    if not _may_download.get():
        raise OSError("downloads are off")
    urllib.request.urlopen(url, timeout=timeout).close()  # noqa: S310


def cached_torchvision_file(name: str) -> Path:
    """Where torch hub keeps torchvision's weights, whether they are there or not."""
    file = Path(urlparse(TORCHVISION_URLS[name]).path).name
    return Path(torch.hub.get_dir()) / "checkpoints" / file


def torchvision_file(name: str, timeout: float = 5.0) -> Path:
    """Return torchvision's weights from torch hub's cache, or download them there.

    Args:
        name: "alexnet" or "vgg16".
        timeout: seconds to wait for the server.

    Raises:
        FileNotFoundError: they cannot be had; the message says which file goes where.
    """
    path, url = cached_torchvision_file(name), TORCHVISION_URLS[name]
    if path.is_file():
        return path
    try:
        _reach(url, timeout)
        torch.hub.load_state_dict_from_url(url, progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise FileNotFoundError(
            f"torchvision's weights {path.name} of {name} are not on this machine and could not be "
            f"downloaded ({type(error).__name__}): put {url} into torch hub's folder checkpoints/, "
            "or give `weights: FILE`"
        ) from error
    return path


def timm_file(name: str) -> Path:
    """Return the weights that timm publishes, from the Hugging Face cache or downloaded.

    Raises:
        FileNotFoundError: they cannot be had.
    """
    import huggingface_hub
    import timm

    source = timm.get_pretrained_cfg(name)
    assert source is not None and source.hf_hub_id is not None
    cached = huggingface_hub.try_to_load_from_cache(source.hf_hub_id, HUB_FILE)
    if isinstance(cached, str):
        return Path(cached)
    try:
        _reach(huggingface_hub.constants.ENDPOINT, 5.0)
        return Path(huggingface_hub.hf_hub_download(source.hf_hub_id, HUB_FILE))
    except OSError as error:
        raise FileNotFoundError(
            f"the weights of {name} ({source.hf_hub_id}) are not on this machine and could not be "
            f"downloaded ({type(error).__name__}): connect once, or give a local file, "
            "`weights: FILE`, with torchvision's key names (features.0.weight, ...)"
        ) from error
