"""The command line's parser: help without waiting, one command imported, and closed pipes."""

import subprocess
import sys

import pytest

from restoration.cli import COMMANDS, READER_GONE, build_parser, main
from restoration.cli.masks import SUBCOMMANDS


def python(code):
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_help_imports_no_command():
    code = (
        "import sys\nfrom restoration.cli import build_parser\nbuild_parser().format_help()\n"
        "heavy = ('torch', 'cv2', 'basicsr', 'matplotlib', 'rich', 'pydantic', 'numpy')\n"
        "print([m for m in sys.modules if m in heavy or m.startswith('restoration.cli.')])"
    )
    assert python(code) == "['restoration.cli.parser']"


def test_a_command_imports_only_itself():
    code = (
        "import sys\nfrom restoration.cli import build_parser\n"
        "build_parser().parse_args(['train', '-opt', 'x.yml'])\n"
        "print([m for m in sys.modules if m in {commands}],\n"
        "      [m for m in sys.modules if m.startswith(('restoration.masks', 'piq'))])"
    ).replace("{commands}", repr({f"restoration.cli.{name}" for name in COMMANDS}))
    assert python(code) == "['restoration.cli.train'] []"


@pytest.mark.parametrize("arguments", [[], ["masks"]])
def test_without_a_command_the_help_is_shown(arguments, capsys):
    assert main(arguments) == 0
    printed = capsys.readouterr()
    known = SUBCOMMANDS if arguments else COMMANDS
    assert all(name in printed.out for name in known) and not printed.err


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_masks_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["masks", name, "--help"])
    assert caught.value.code == 0
    assert f"restoration masks {name}" in capsys.readouterr().out


def test_a_parser_parses_twice():
    parser = build_parser()
    for file in ("a.yml", "b.yml"):
        assert parser.parse_args(["masks", "train", "-opt", file]).opt == file


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["options"], READER_GONE), (["weights", "list"], READER_GONE), (["--help"], READER_GONE)],
)
def test_a_closed_pipe_is_no_error(arguments, code):
    """As `restoration options | head` closes it, only sooner."""
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "restoration", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert (process.stderr.read(), process.wait(60)) == ("", code)


def test_a_broken_pipe_of_something_else_is_an_error(monkeypatch, capsys):
    def broken(arguments):
        raise BrokenPipeError("a worker is gone")

    monkeypatch.setattr("restoration.cli.weights.run", broken)
    assert main(["weights", "list"]) == 2
    assert "a worker is gone" in capsys.readouterr().err


def test_a_log_without_a_reader_ends_the_command():
    code = (
        "import os, sys, logging\nfrom restoration.cli import run_and_exit, session, weights\n"
        "def run(arguments):\n"
        "    console = session.make_console()\n"
        "    with session.show_log(console):\n"
        "        logging.getLogger('restoration').info('hello')\n"
        "        sys.stderr.write('went on')\n"
        "weights.run = run\n"
        "run_and_exit(['weights', 'list'])"
    )
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    assert (process.stderr.read(), process.wait(60)) == ("", READER_GONE)
