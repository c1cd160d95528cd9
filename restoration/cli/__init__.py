"""The command line: the only place that reads option files, parses arguments and prints.

Bad input is one line on stderr and exit code 2; set RESTORATION_TRACEBACK=1 to see where from.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

COMMANDS = {
    "train": "train a network as an option file describes",
    "test": "evaluate a checkpoint as an option file describes",
    "compare": "train recipes that differ in their loss, and report which is better",
    "demo": "train and evaluate a small denoiser in a few minutes, offline",
    "score": "compare pictures with a reference",
    "masks": "train visual masks, and measure how far metrics agree with opinion",
    "data": "list, verify and prepare image sets",
    "weights": "list, fetch and verify the weights of backbones and masks",
    "options": "print the reference of all option keys, or their JSON schema",
}


def build_parser() -> argparse.ArgumentParser:
    """Build the parser; a command's own arguments stand in its module."""
    parser = argparse.ArgumentParser(
        prog="restoration",
        description="Train, evaluate and compare image denoisers with visually masked losses.",
    )
    from restoration import __version__

    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        module = importlib.import_module(f"restoration.cli.{name}")
        own = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        module.add_arguments(own)
        own.set_defaults(run=module.run)
    return parser


def _message(error: BaseException) -> str:
    text = str(error).strip()
    if "DataLoader worker" in text:  # torch puts the worker's traceback in front
        text = text.splitlines()[-1].partition(": ")[2] or text
    return " ".join(text.split()) or type(error).__name__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: command line without the program's name; None for sys.argv.

    Returns:
        0, or 2 for a mistake of the user's, or 130 when interrupted.
    """
    parsed = build_parser().parse_args(arguments)
    from restoration.common.memory import keep_freed

    keep_freed()
    try:
        parsed.run(parsed)
    except (ValueError, OSError, FloatingPointError) as error:
        if os.environ.get("RESTORATION_TRACEBACK"):
            raise
        rank = os.environ.get("RANK", "0")  # another rank may be the only one with a bad image
        whose = "" if rank == "0" else f" (rank {rank})"
        sys.stderr.write(f"restoration: error{whose}: {_message(error)}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("restoration: interrupted\n")
        return 130
    return 0


def run_and_exit(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and end the process with `main`'s exit code.

    A process of torchrun's ends without Python's finalization: gloo's threads outlive the process
    group once DistributedDataParallel used it, and one of them that still frees a tensor while
    Python finalizes aborts the process (pytorch/pytorch, pull request 179291).
    """
    code = main(arguments)
    if "WORLD_SIZE" not in os.environ:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
