"""A run's folder: made once for all ranks, with the options and the environment of the run."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from pydantic import BaseModel

from restoration.common import distributed, durable
from restoration.common.folders import (
    OPTIONS_FILE,
    environment,
    is_occupied,
    make_folder,
    write_json,
)
from restoration.common.lock import locked
from restoration.options.load import (
    differing_keys,
    dump_yaml,
    ignored_keys,
    plain,
)
from restoration.options.parse import parse_yaml

logger = logging.getLogger("restoration")
ENVIRONMENT_FILE = "environment.json"
TENSORBOARD_SIGNS = ("events.out.tfevents.*",)


@contextmanager
def own_folder(
    folder: Path, keep: bool = False, signs: Sequence[str] = (OPTIONS_FILE,)
) -> Iterator[None]:
    """Make a folder, see `make_folder`, and keep other processes out until the block ends.

    Raises:
        ValueError: another process works in it, or it holds something that is no earlier run.
    """
    is_run = is_occupied(folder) and any(one for sign in signs for one in folder.glob(sign))
    with locked(folder) if is_run else nullcontext():  # nobody works in what is archived
        open_folder(folder, keep or not is_run, signs)
    with locked(folder):
        yield


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
    durable.write_text(folder / OPTIONS_FILE, dump_yaml(options))
    seed = getattr(options, "manual_seed", None)
    content = {"seed": seed, **environment(device, distributed.world_size())}
    write_json(folder / ENVIRONMENT_FILE, content)


def changed_since(folder: Path, options: BaseModel) -> list[str]:
    """What differs from the options that the folder was last trained with, a text per key."""
    before = folder / OPTIONS_FILE
    if not before.is_file():
        return []
    try:
        earlier = parse_yaml(before.read_text("utf-8"))
    except ValueError as error:  # UnicodeDecodeError is one
        return [f"unknown: {before} cannot be read and is written anew ({error})"]
    if not isinstance(earlier, dict):
        return [f"unknown: {before} held no options and is written anew"]
    return [
        f"{key} {old} -> {new}"
        for key, old, new in differing_keys(earlier, plain(options), absent=None)
    ]


def note_ignored(options: BaseModel) -> None:
    """Say once which given keys have no effect here."""
    ignored = ignored_keys(options)
    if ignored:
        logger.info("accepted, without effect here: %s", ", ".join(ignored))
