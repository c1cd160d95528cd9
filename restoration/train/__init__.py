"""Training: schedules, the loop, checkpoints, and the recipe that options describe.

The package itself can be called, `restoration.train(options)`: see `experiment.train`.
"""

from restoration.common.door import make_callable

make_callable(__name__, "restoration.train.experiment", "train")
