"""`python -m restoration.test -opt FILE`, BasicSR's habit; the same as `restoration test`."""

import sys

from restoration.cli import run_and_exit

if __name__ == "__main__":
    run_and_exit(["test", *sys.argv[1:]])
