"""`restoration masks train -opt FILE`."""

import argparse

from restoration.cli import session
from restoration.cli.progress import progress_on
from restoration.masks.options import MaskOptions
from restoration.masks.run import train
from restoration.options.load import load_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    session.add_option_file(parser)
    session.add_device(parser)
    parser.add_argument(
        "--auto_resume", action="store_true", help="continue from the newest state, if there is one"
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    options = load_options(arguments.opt, arguments.force_yml, MaskOptions)
    console = session.make_console()
    with session.show_log(console):
        train(
            options,
            device=arguments.device,
            resume=arguments.auto_resume,
            progress=progress_on(console),
        )
