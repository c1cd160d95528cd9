"""`python -m restoration`, the same as the console script."""

from restoration.cli import run_and_exit

run_and_exit()
