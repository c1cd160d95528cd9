"""`python -m restoration`, the same as the console script."""

import sys

from restoration.cli import main

sys.exit(main())
