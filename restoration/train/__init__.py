"""Training: schedules, the loop, checkpoints, and the recipe that options describe.

The package itself can be called, `restoration.train(options)`: see `api.train`.
"""

from restoration.common.callable_module import make_callable

make_callable(__name__, "restoration.train.api", "train")
