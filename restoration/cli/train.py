"""`restoration train -opt FILE`."""

import argparse

from restoration.cli import session
from restoration.options.load import load_options
from restoration.options.schema import Options
from restoration.train.api import train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    session.add_basicsr_flags(parser)
    parser.add_argument(
        "--auto_resume", action="store_true", help="continue from the newest state, if there is one"
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    session.heed_launcher(arguments.launcher)
    options = load_options(arguments.opt, arguments.force_yml, Options)
    console = session.make_console()
    with session.show_log(console):
        train(options, resume=arguments.auto_resume, debug=arguments.debug, console=console)
