"""The command line: the only place that parses arguments and prints.

Bad input is one line on stderr, or a line for each subject, and exit code 2; set
RESTORATION_TRACEBACK=1 to see where from.
"""

import argparse
import io
import os
import select
import sys
from collections.abc import Sequence
from typing import NoReturn

from restoration import __version__
from restoration.cli.parser import add_commands
from restoration.common.errors import ListedError
from restoration.common.installation import check_losses
from restoration.common.memory import keep_freed
from restoration.common.messages import shorten
from restoration.common.signals import exit_code
from restoration.common.threads import spin_briefly

LONGEST_MESSAGE = 460  # characters, which with what stands before them are fewer than 500
READER_GONE = 141  # 128 + SIGPIPE, as a shell reports it

COMMANDS = {
    "train": "train a network as an option file describes",
    "test": "evaluate a checkpoint as an option file describes",
    "losses": "measure the terms of an option file's loss: value, gradient, share, weight",
    "plot": "draw the losses and validations of trainings in one figure",
    "compare": "train recipes that differ in their loss, and report which is better",
    "denoise": "denoise photographs; metadata, colour profile and format are kept",
    "demo": "train and evaluate a small denoiser in a few minutes, offline",
    "export": "export a denoiser as safetensors, ONNX, TorchScript or for darktable",
    "score": "compare images with a reference",
    "masks": "train visual masks, and measure how well metrics agree with quality ratings",
    "data": "list, fetch, verify and prepare image sets",
    "weights": "list, fetch, verify and find weights of backbones, metrics, masks and denoisers",
    "doctor": "check this installation: what is there, what is wrong, and how to fix it",
    "options": "print the reference of all option keys; list and copy the option files that ship",
}


def build_parser() -> argparse.ArgumentParser:
    """Build the parser; a command's own arguments are added once that command is chosen."""
    parser = argparse.ArgumentParser(
        prog="restoration",
        description="Train, evaluate and compare image denoisers with visually masked losses.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    add_commands(parser, COMMANDS, "restoration.cli.")
    return parser


def _message(error: BaseException) -> str:
    text = str(error).strip()
    if "DataLoader worker" in text:  # torch puts the worker's traceback in front
        text = text.splitlines()[-1].partition(": ")[2] or text
    if isinstance(error, ListedError):
        return "\n".join(shorten(line, LONGEST_MESSAGE) for line in text.splitlines())
    return shorten(" ".join(text.split()), LONGEST_MESSAGE) or type(error).__name__


def _is_reader_gone() -> bool:
    """Whether standard output is a pipe that nobody reads any more, as when `head` has its lines.

    What is left of the output then goes nowhere: Python would complain of it at its end.
    """
    try:
        output = sys.stdout.fileno()
        pipe = select.poll()
        pipe.register(output, 0)  # errors are reported without being asked for
        gone = any(events & select.POLLERR for _, events in pipe.poll(0))
    except (OSError, ValueError, AttributeError):  # no file, or a system without poll
        return False
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return gone


def _run(arguments: Sequence[str] | None) -> int | None:
    """Parse and run; a package that an extra brings and that is missing is a mistake of the user's.

    Parsing imports the command that is chosen, so that either can find a package missing.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:
        parsed = build_parser().parse_args(arguments)
        keep_freed()
        code: int | None = parsed.run_command(parsed)
    except ModuleNotFoundError as error:
        from losses.extras import name_extra  # imports torch, as the command would have

        command = next((word for word in words if word in COMMANDS), "")
        raise name_extra(error, f"`restoration {command}`") from error
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: command line without the program's name; None for sys.argv.

    Returns:
        0, 1 where `denoise` left an image out, 2 for a mistake of the user's, 130 after Ctrl-C, 143
        after SIGTERM and so on, 75 at the end of `train.max_hours`, 141 when nobody reads the
        output.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be no UTF-8
    spin_briefly()  # before anything imports torch
    try:
        check_losses()
        code = _run(arguments)
    except (ValueError, OSError, FloatingPointError) as error:
        if isinstance(error, BrokenPipeError) and _is_reader_gone():
            return READER_GONE
        if os.environ.get("RESTORATION_TRACEBACK"):
            raise
        rank = os.environ.get("RANK", "0")  # another rank may be the only one with a bad image
        whose = "" if rank == "0" else f" (rank {rank})"
        sys.stderr.write(f"restoration: error{whose}: {_message(error)}\n")
        return 2
    except KeyboardInterrupt as error:
        by = f" by {error}" if str(error) else ""
        sys.stderr.write(f"restoration: interrupted{by}\n")
        return exit_code(error)
    return code or 0


def run_and_exit(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and end the process with `main`'s exit code.

    A process of torchrun's ends without Python's finalization: gloo's threads outlive the process
    group once DistributedDataParallel used it, and one of them that still frees a tensor while
    Python finalizes aborts the process (pytorch/pytorch, pull request 179291).
    """
    try:
        code = main(arguments)
    except SystemExit as ending:  # argparse's: after --help, or a mistake in the arguments
        code = ending.code if isinstance(ending.code, int) else 0
    if _is_reader_gone():
        code = READER_GONE
    sys.stdout.flush()
    if "WORLD_SIZE" not in os.environ:
        sys.exit(code)
    sys.stderr.flush()
    os._exit(code)
