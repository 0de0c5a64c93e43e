"""How good a network is: predictors, predictions, metrics."""

from convlens.evaluation.evaluation import Evaluation, Mistake, choose_split, evaluate, summarise
from convlens.evaluation.metrics import ClassMetrics, Reliability, wilson_interval
from convlens.evaluation.prediction import FilePrediction, find_files, predict_files, predict_images
from convlens.evaluation.predictor import Predictor, TorchPredictor, choose_device
from convlens.evaluation.ranking import Guess, rank
from convlens.evaluation.settled import Settled

__all__ = [
    "ClassMetrics",
    "Evaluation",
    "FilePrediction",
    "Guess",
    "Mistake",
    "Predictor",
    "Reliability",
    "Settled",
    "TorchPredictor",
    "choose_device",
    "choose_split",
    "evaluate",
    "find_files",
    "predict_files",
    "predict_images",
    "rank",
    "summarise",
    "wilson_interval",
]
