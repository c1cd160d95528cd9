"""Evaluation: the protocol, tables and pictures."""

from restoration.evaluate.protocol import EvaluationSet, evaluate
from restoration.evaluate.tables import summarize

__all__ = ["EvaluationSet", "evaluate", "summarize"]
