"""The smallest Restormer that trains, as an option file names it."""

TINY = {
    "type": "Restormer",
    "dim": 4,
    "num_blocks": [1, 1, 1, 1],
    "num_refinement_blocks": 0,
    "heads": [1, 1, 1, 1],
    "ffn_expansion_factor": 1.0,
}
