"""Evaluation: the protocol, tables and images."""

from restoration.evaluate.measure import evaluate, evaluate_runs
from restoration.evaluate.rows import Mean, Row, summarize
from restoration.evaluate.sets import EvaluationSet

__all__ = ["EvaluationSet", "Mean", "Row", "evaluate", "evaluate_runs", "summarize"]
