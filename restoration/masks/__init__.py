"""Training of visual masks: options, batches, trainer, outcome, ablation."""
