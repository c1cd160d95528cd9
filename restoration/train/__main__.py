"""`python -m restoration.train -opt FILE`, BasicSR's habit; the same as `restoration train`."""

import sys

from restoration.cli import main

sys.exit(main(["train", *sys.argv[1:]]))
