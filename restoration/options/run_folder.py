"""A run's folder: made once for all ranks, with the options and the environment of the run."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import BaseModel

from restoration.common import distributed
from restoration.common.folders import OPTIONS_FILE, environment, make_folder, write_json
from restoration.options.load import (
    differing_keys,
    dump_yaml,
    ignored_keys,
    parse_yaml,
    plain,
)

logger = logging.getLogger("restoration")
ENVIRONMENT_FILE = "environment.json"
TENSORBOARD_SIGNS = ("events.out.tfevents.*",)


def open_folder(folder: Path, keep: bool = False, signs: Sequence[str] = (OPTIONS_FILE,)) -> None:
    """Make a folder on rank 0 while the others wait; see `make_folder`."""
    archived = make_folder(folder, keep, signs) if distributed.rank() == 0 else None
    distributed.barrier()
    if archived is not None:
        logger.info("%s exists: archived as %s", folder, archived)


def write_run_files(options: BaseModel, folder: Path, device: torch.device) -> None:
    """Write the resolved options and the environment, so that the folder explains its run."""
    if distributed.rank() != 0:
        return
    (folder / OPTIONS_FILE).write_text(dump_yaml(options), encoding="utf-8")
    seed = getattr(options, "manual_seed", None)
    content = {"seed": seed, **environment(device, distributed.world_size())}
    write_json(folder / ENVIRONMENT_FILE, content)


def changed_since(folder: Path, options: BaseModel) -> list[str]:
    """What differs from the options that the folder was last trained with, a text per key."""
    before = folder / OPTIONS_FILE
    if not before.is_file():
        return []
    earlier = parse_yaml(before.read_text("utf-8"))
    return [
        f"{key} {old} -> {new}"
        for key, old, new in differing_keys(earlier, plain(options), absent=None)
    ]


def note_ignored(options: BaseModel) -> None:
    """Say once which given keys have no effect here."""
    ignored = ignored_keys(options)
    if ignored:
        logger.info("accepted, without effect here: %s", ", ".join(ignored))
