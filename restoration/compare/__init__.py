"""Comparing recipes: the same data, weights and steps; paired statistics; what can be told."""
