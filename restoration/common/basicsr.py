"""The one door to BasicSR 1.4.2, which no longer imports with current torchvision on its own.

Two obstacles are removed here. `torchvision.transforms.functional_tensor`, which BasicSR imports,
left torchvision in 0.17: a module of that name with `rgb_to_grayscale` is put in its place. And
BasicSR's packages import whole folders, so that one stale import takes every registry down: when
`import basicsr` fails, its architectures and losses are imported one by one and the failures noted.
Nothing else of this project imports basicsr, and this module only when asked for something.
"""

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from losses.extras import BASICSR
from losses.naming import nearest

SHIM = "torchvision.transforms.functional_tensor"
PACKAGES = ("basicsr", *(f"basicsr.{name}" for name in ("archs", "losses", "data", "metrics")))
ADVICE = (
    "BasicSR is not installed: it is needed for networks, losses and LMDB folders that are named "
    f"after BasicSR's. Use Python 3.10 to 3.12 (its build fails on 3.13) and `{BASICSR}`"
)


class BasicsrUnavailable(ModuleNotFoundError, ValueError):
    """BasicSR is not installed, or the package of that name cannot be imported."""


class _Registries(NamedTuple):
    archs: dict[str, type]
    losses: dict[str, type]
    failed: dict[str, str]


def install_shim() -> bool:
    """Put the module that torchvision dropped in its place, if it is missing.

    Returns:
        True if the module was added, False if it was there already.
    """
    if SHIM in sys.modules or importlib.util.find_spec(SHIM) is not None:
        return False
    from torchvision.transforms.functional import rgb_to_grayscale

    module = ModuleType(SHIM, "Stand-in for the module removed in torchvision 0.17.")
    vars(module)["rgb_to_grayscale"] = rgb_to_grayscale
    sys.modules[SHIM] = module
    return True


def import_basicsr(submodule: str | None = None) -> ModuleType:
    """Import BasicSR, or one of its modules, behind the torchvision stand-in.

    Args:
        submodule: name below `basicsr`, such as "archs" or "utils.lmdb_util".

    Returns:
        The module.

    Raises:
        BasicsrUnavailable: BasicSR is not installed or does not import; says what to do. It is
            both a ModuleNotFoundError and a ValueError.
    """
    name = "basicsr" if submodule is None else f"basicsr.{submodule}"
    if not _installed():
        raise BasicsrUnavailable(ADVICE, name="basicsr")
    install_shim()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about scipy namespaces that BasicSR still uses
            importlib.import_module("basicsr")
            return importlib.import_module(name)
    except Exception as error:  # a foreign package: whatever it raises at import is its state
        if "basicsr" not in sys.modules:
            _forget()  # submodules outlive the failed import of their package, half filled
        raise BasicsrUnavailable(
            f"cannot import {name} from {_location()}: {_one_line(error)}; expected BasicSR 1.4.2 "
            "(another package of this name earlier on sys.path hides it)",
            name=name,
        ) from error


def find_arch(name: str) -> type | None:
    """Look up an architecture of BasicSR, such as "SwinIR"; None if there is none."""
    return _find(_registries().archs, name)


def find_loss(name: str) -> type | None:
    """Look up a loss of BasicSR, such as "CharbonnierLoss"; None if there is none."""
    return _find(_registries().losses, name)


def get_loss(name: str) -> type:
    """Look up a loss of BasicSR.

    Raises:
        ValueError: no such loss; names the known, the nearest and the failed imports.
    """
    _, known, failed = _registries()
    loss = _find(known, name)
    if loss is not None:
        return loss
    message = f"expected the name of a BasicSR loss, got {name!r}{nearest(name, known)}"
    if known:
        message += f"; known: {', '.join(sorted(known))}"
    if failed:
        reasons = "; ".join(f"{module} ({reason})" for module, reason in failed.items())
        message += f"; not imported: {reasons}"
    raise ValueError(message)


def known_archs() -> list[str]:
    """Names of BasicSR's architectures; empty if BasicSR is not installed."""
    return sorted(_registries().archs)


def failed_imports() -> dict[str, str]:
    """Modules of BasicSR that could not be imported, each with its reason in one line."""
    return dict(_registries().failed)


def _find(known: dict[str, type], name: str) -> type | None:
    # BasicSR registers a few of its own names with this suffix
    return known.get(name, known.get(f"{name}_basicsr"))


def _registries() -> _Registries:
    """Names and classes of both registries, read afresh where the whole package imports."""
    if not _installed():
        return _Registries({}, {}, {"basicsr": ADVICE})
    try:
        registry = import_basicsr("utils.registry")
    except BasicsrUnavailable:
        return _salvage()
    return _read(registry, {})


def _read(registry: ModuleType, failed: dict[str, str]) -> _Registries:
    # a BasicSR registry iterates over (name, class) pairs
    archs, losses = iter(registry.ARCH_REGISTRY), iter(registry.LOSS_REGISTRY)
    return _Registries(dict(archs), dict(losses), failed)


@cache
def _salvage() -> _Registries:
    """Import architectures and losses one by one, past the modules that fail."""
    failed = {}
    root = Path(_location())
    with _bare_packages(root):
        for folder, ending in (("archs", "_arch"), ("losses", "_loss")):
            for path in sorted((root / folder).glob(f"*{ending}.py")):
                name = f"basicsr.{folder}.{path.stem}"
                try:
                    importlib.import_module(name)
                except Exception as error:  # kept, and named in the error of a lookup miss
                    failed[name] = _one_line(error)
        try:
            registry = importlib.import_module("basicsr.utils.registry")
        except Exception as error:  # likewise: a foreign package without registries
            failed["basicsr.utils.registry"] = _one_line(error)
            return _Registries({}, {}, failed)
    return _read(registry, failed)


@contextmanager
def _bare_packages(root: Path) -> Iterator[None]:
    """Packages of BasicSR without their __init__, for as long as the block lasts."""
    _forget()
    for name in PACKAGES:
        package = ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
    try:
        yield
    finally:
        _forget()  # a later `import basicsr` must fail honestly, not meet an empty package


def _forget() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "basicsr"]:
        del sys.modules[name]


def _installed() -> bool:
    return sys.modules.get("basicsr") is not None or importlib.util.find_spec("basicsr") is not None


def _location() -> str:
    spec = importlib.util.find_spec("basicsr")
    assert spec is not None
    return str(next(iter(spec.submodule_search_locations or []), spec.origin))


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
