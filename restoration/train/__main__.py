"""`python -m restoration.train -opt FILE`, BasicSR's habit; the same as `restoration train`."""

import sys

from restoration.cli import run_and_exit

run_and_exit(["train", *sys.argv[1:]])
