"""Run folders: never overwritten, and each explains its run."""

import json
import math
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from restoration.common import durable
from restoration.common.lock import HOLDER, LOCK

OPTIONS_FILE = "options.yml"  # a run's folder is known by it
PACKAGES = (
    *("torch", "torchvision", "timm", "numpy", "opencv-python-headless", "opencv-python"),
    *("lpips", "basicsr"),
)


def is_occupied(path: Path) -> bool:
    """Whether there is something in a folder, beside what tells who works in it."""
    return path.is_dir() and bool({one.name for one in path.iterdir()} - {LOCK, HOLDER})


def make_folder(
    path: Path, keep: bool = False, signs: Sequence[str] = (OPTIONS_FILE,)
) -> Path | None:
    """Make a run's folder; that of an earlier run is archived under a new name, as BasicSR does.

    Args:
        path: the folder.
        keep: use the existing folder (a run that is resumed).
        signs: patterns of files; a folder that has one of them is that of an earlier run.

    Returns:
        Where an existing folder was archived, or None.

    Raises:
        ValueError: the folder holds something, and no earlier run; it is left as it is.
    """
    archived = None
    if is_occupied(path):
        if not any(match for sign in signs for match in path.glob(sign)):
            raise ValueError(
                f"expected a new folder, or one of an earlier run (with {' or '.join(signs)}), "
                f"got {path}, which holds other files: they are left as they are"
            )
        if keep:
            return None
        stamp = time.strftime("%Y%m%d_%H%M%S")
        archived = path.with_name(f"{path.name}_archived_{stamp}")
        count = 1
        while archived.exists():
            count += 1
            archived = path.with_name(f"{path.name}_archived_{stamp}_{count}")
        durable.move(path, archived)
    durable.make_folders(path)
    return archived


def commit() -> str | None:
    """Return the commit of the source tree, with "+" if it was changed, or None outside git."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here)]
    try:
        head = subprocess.run(  # noqa: S603
            [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        )
        changed = subprocess.run(  # noqa: S603
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def environment(device: torch.device, world_size: int = 1) -> dict[str, Any]:
    """Describe what a run was made with: versions, commit, device, threads, processes."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    return {
        "commit": commit(),
        "versions": versions,
        "device": f"{device.type} {name}".strip(),
        "threads": torch.get_num_threads(),
        "processes": world_size,
    }


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON; infinities and NaN become null, which is all that JSON has for them."""
    text = json.dumps(_finite(content), indent=2, allow_nan=False)
    durable.write_text(path, text + "\n")


def _finite(content: Any) -> Any:
    """Replace numbers that JSON does not have, in mappings and lists of any depth."""
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
