"""Parsers of the commands: the module of a command is imported when that command is chosen."""

import argparse
import importlib
from collections.abc import Mapping
from typing import Any


class CommandParser(argparse.ArgumentParser):
    """Parser of one command, whose arguments stand in a module of its own.

    Args:
        module: has `add_arguments(parser)` and `run(arguments)`; None for a parser that is whole.
        run_name: argument under which `run` is found after parsing.
        keywords: those of `argparse.ArgumentParser`.
    """

    def __init__(self, *, module: str | None = None, run_name: str = "run", **keywords: Any):
        super().__init__(**keywords)
        self._module = module
        self._run_name = run_name

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, with the command's own arguments."""
        if self._module is not None:
            command = importlib.import_module(self._module)
            self._module = None
            command.add_arguments(self)
            self.set_defaults(**{self._run_name: command.run})
        return super().parse_known_args(args, namespace)


def add_commands(
    parser: argparse.ArgumentParser,
    commands: Mapping[str, str],
    package: str,
    destination: str = "command",
) -> None:
    """Add commands to a parser; without one of them it prints its help.

    Args:
        parser: of the program, or of a command that has commands below it.
        commands: help in one line by name.
        package: what the module of a command is named by, followed by the command's name.
        destination: argument that holds the chosen name; `run_<destination>` is what to call.
    """
    run_name = f"run_{destination}"
    group = parser.add_subparsers(
        dest=destination, metavar="COMMAND", parser_class=CommandParser, required=False
    )
    for name, text in commands.items():
        group.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            module=f"{package}{name}",
            run_name=run_name,
        )
    parser.set_defaults(**{run_name: lambda arguments: parser.print_help()})
