"""Training: schedules, the loop, checkpoints, and the recipe that options describe."""
