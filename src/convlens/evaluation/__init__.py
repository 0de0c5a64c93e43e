"""How good a network is: metrics, with their intervals, and where it fails."""

from convlens.evaluation.evaluation import Evaluation, Mistake, choose_split, evaluate, summarise
from convlens.evaluation.metrics import ClassMetrics, Reliability, wilson_interval

__all__ = [
    "ClassMetrics",
    "Evaluation",
    "Mistake",
    "Reliability",
    "choose_split",
    "evaluate",
    "summarise",
    "wilson_interval",
]
