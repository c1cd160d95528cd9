"""`restoration masks distortions`: a contact sheet of every kind and level of distortion."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
