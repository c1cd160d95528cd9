"""The one door to spandrel: foreign architectures by name, or recognised from a checkpoint.

Networks come as spandrel's own classes, so that their checkpoints keep the names that other
programs read. What spandrel's descriptor tells of the images that they take is written down at the
network as `restoration.archs.protocol` has it.
"""

import importlib.util
import inspect
import logging
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from restoration.archs.checkpoint import read_content, select_state
from restoration.archs.protocol import offer, offer_arguments, size_multiple

if TYPE_CHECKING:
    from spandrel import Architecture, ModelDescriptor

logger = logging.getLogger("restoration")
FROM_FILE = "spandrel"  # the type of a network that is recognised from its checkpoint
ADVICE = (
    'spandrel, which knows more architectures, is not installed: `pip install "spandrel>=0.4.2"`'
)


def _first(module: nn.Module, inputs: tuple[Tensor, ...], answer: tuple[Tensor, ...]) -> Tensor:
    return answer[0]


def _to_unit_range(module: nn.Module, inputs: tuple[Tensor, ...], answer: Tensor) -> Tensor:
    return answer * 0.5 + 0.5


# what makes images of the answers that are none; spandrel keeps it apart from the network
ANSWERS: dict[str, Callable[..., Tensor]] = {"FBCNN": _first, "MixDehazeNet": _to_unit_range}
# called with more than an image, or made to invent what is missing
REFUSED = ("GFPGAN", "IPT", "LaMa", "MMRealSR", "RestoreFormer")


def find_arch(name: str) -> Callable[..., nn.Module] | None:
    """Look up what makes networks of a name; None if there is none.

    Args:
        name: an architecture of spandrel, such as "NAFNet", or "spandrel" for `from_file`.

    Raises:
        ValueError: spandrel is needed and not installed, or the architecture does not restore.
    """
    if name == FROM_FILE:
        return from_file
    entry = _classes().get(name)
    if entry is None:
        return None
    network_class, architecture = entry

    @wraps(network_class)
    def make(**arguments: Any) -> nn.Module:
        _check_use(architecture)
        network = network_class(**arguments)
        _describe_fresh(network, architecture)
        _answer_images(network, architecture)
        return network

    return make


def known_archs() -> list[str]:
    """Names of spandrel's architectures; empty if spandrel is not installed."""
    return sorted(_classes())


def failed_imports() -> list[str]:
    """What to do where spandrel is missing; empty where it is not."""
    return [] if _installed() else [ADVICE]


def from_file(file: str | PathLike[str], key: str | None = None) -> nn.Module:
    """Build the network that a checkpoint was made with, and load the checkpoint into it.

    Args:
        file: a `.safetensors` file, or a file of `torch.save` that holds a state dict, bare or
            under a key.
        key: where the file holds its state dict: "params", "params_ema"...; default: "params", or
            where else spandrel looks for it.

    Returns:
        The network.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no checkpoint, lacks the key, is of no architecture that spandrel
            knows, or not of one that restores images at their own size.
    """
    spandrel = _import()
    path = Path(file)
    state = _read(path, key)
    try:
        descriptor = spandrel.MAIN_REGISTRY.load(dict(state))
    except spandrel.UnsupportedModelError:
        raise ValueError(
            f"expected a checkpoint of an architecture that spandrel {spandrel.__version__} "
            f"knows, got {path}"
        ) from None
    except Exception as error:  # foreign code that takes the file for another architecture's
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"expected a checkpoint that spandrel loads, got {path}: {reason}"
        ) from error
    architecture, network = descriptor.architecture, descriptor.model
    _check_use(architecture)
    _describe(network, descriptor)
    _answer_images(network, architecture)
    logger.info("%s: %s (%s)", path, architecture.name, ", ".join(descriptor.tags))
    return network


def _read(path: Path, key: str | None) -> Mapping[str, Any]:
    """The state dict of a file, in the form that spandrel takes."""
    content = read_content(path)
    if key is not None or not isinstance(content, Mapping) or "params" in content:
        content, _ = select_state(content, key or "params", path)
    return _import().canonicalize_state_dict(dict(content))


def _check_use(architecture: "Architecture[nn.Module]") -> None:
    if architecture.id in REFUSED:
        raise ValueError(
            f"expected an architecture that takes an image and restores it, got {architecture.name}"
        )


def _describe(network: nn.Module, descriptor: "ModelDescriptor") -> None:
    """Write down what the descriptor of a network tells of the images that it takes."""
    name = descriptor.architecture.name
    if descriptor.scale != 1:
        raise ValueError(
            f"expected a network that keeps the size, got {name} of scale {descriptor.scale}"
        )
    # what its constructor took: the descriptor does not count a channel of the noise level
    offer_arguments(network, getattr(network, "hyperparameters", {}))
    needs = descriptor.size_requirements
    offer(
        network,
        inp_channels=descriptor.input_channels,
        multiple=needs.multiple_of,
        minimum=max(needs.minimum, 1),
        square=needs.square,
    )


def _describe_fresh(network: nn.Module, architecture: "Architecture[nn.Module]") -> None:
    """The same for a network that was made by name: its descriptor comes with a second one."""
    try:
        descriptor = architecture.load(dict(network.state_dict()))
    except Exception as error:  # spandrel guesses the arguments from the tensors, and some wrongly
        logger.warning(
            "spandrel cannot tell which sizes this %s takes, which is padded to multiples of %d "
            "therefore (%s)",
            *(architecture.name, size_multiple(network), str(error).strip().split("\n")[0]),
        )
    else:
        _describe(network, descriptor)


def _answer_images(network: nn.Module, architecture: "Architecture[nn.Module]") -> None:
    if architecture.id in ANSWERS:
        network.register_forward_hook(ANSWERS[architecture.id])


def _classes() -> Mapping[str, tuple[type[nn.Module], "Architecture[nn.Module]"]]:
    """Network classes by name, each with what describes it; names are those spandrel exports."""
    if not _installed():
        return {}
    classes = {}
    for support in _import().MAIN_REGISTRY:
        module = sys.modules[type(support.architecture).__module__]
        for name in getattr(module, "__all__", ()):
            exported = getattr(module, name)
            if inspect.isclass(exported) and issubclass(exported, nn.Module):
                classes[name] = (exported, support.architecture)
    return classes


def _import() -> ModuleType:
    if not _installed():
        raise ValueError(ADVICE)
    try:
        return importlib.import_module("spandrel")
    except Exception as error:  # a foreign package: whatever it raises at import is its state
        raise ValueError(f"cannot import spandrel: {type(error).__name__}: {error}") from error


def _installed() -> bool:
    loaded = sys.modules.get("spandrel") is not None
    return loaded or importlib.util.find_spec("spandrel") is not None
