"""`python -m restoration.test -opt FILE`, BasicSR's habit; the same as `restoration test`."""

import sys

from restoration.cli import main

if __name__ == "__main__":
    sys.exit(main(["test", *sys.argv[1:]]))
