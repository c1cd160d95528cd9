"""Testing: `restoration.test(options)`, and BasicSR's `python -m restoration.test -opt FILE`.

The module itself can be called: see `restoration.evaluate.api.test`.
"""

import sys

from restoration.common.callable_module import make_callable

if __name__ == "__main__":
    from restoration.cli import run_and_exit

    run_and_exit(["test", *sys.argv[1:]])

make_callable(__name__, "restoration.evaluate.api", "test")
