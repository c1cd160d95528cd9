"""Where published ImageNet weights are found: on this machine, or one download by timm."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from losses.extras import import_named
from losses.weights import resolve

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


def published_file(name: str) -> Path:
    """Return the published weights of a backbone.

    They are looked for in the package, in the cache of `restoration weights fetch`, in torch hub's
    and in the Hugging Face hub's; from the last they are downloaded where it answers.

    Args:
        name: "alexnet", "vgg16" or "vgg19".

    Raises:
        FileNotFoundError: they cannot be had; the message says how to get them.
        ValueError: a file stands there that does not have the recorded checksum.
    """
    try:
        return resolve(name)
    except FileNotFoundError as absent:
        try:
            return timm_file(name)
        except (OSError, ModuleNotFoundError):  # timm is of an extra
            raise absent from None


def timm_file(name: str) -> Path:
    """Return the weights that timm publishes, from the Hugging Face cache or downloaded.

    Raises:
        OSError: they cannot be had.
        MissingExtra: timm, which knows where they are, is not installed.
    """
    timm = import_named("timm", name)
    import huggingface_hub

    source = timm.get_pretrained_cfg(name)
    if source is None or source.hf_hub_id is None:
        raise OSError(f"timm publishes no weights of {name}")
    cached = huggingface_hub.try_to_load_from_cache(source.hf_hub_id, HUB_FILE)
    if isinstance(cached, str):
        return Path(cached)
    _reach(huggingface_hub.constants.ENDPOINT, 5.0)
    return Path(huggingface_hub.hf_hub_download(source.hf_hub_id, HUB_FILE))
