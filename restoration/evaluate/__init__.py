"""Evaluation: the protocol, tables and pictures."""

from restoration.evaluate.measure import EvaluationSet, evaluate
from restoration.evaluate.tables import summarize

__all__ = ["EvaluationSet", "evaluate", "summarize"]
