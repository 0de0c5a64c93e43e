"""From images to answers: runtimes, predictors on them, and the predictions for files and pictures in memory."""

from convlens.predicting.engines import Precision
from convlens.predicting.prediction_inputs import find_files, list_inputs
from convlens.predicting.predictions import FilePrediction, predict, predict_files, predict_inputs
from convlens.predicting.predictor import Predictor, torch_predictor
from convlens.predicting.protocol import Answering
from convlens.predicting.ranking import Guess, rank
from convlens.predicting.runtimes import RUNTIMES, Runtime
from convlens.predicting.settled import Settled

__all__ = [
    "RUNTIMES",
    "Answering",
    "FilePrediction",
    "Guess",
    "Precision",
    "Predictor",
    "Runtime",
    "Settled",
    "find_files",
    "list_inputs",
    "predict",
    "predict_files",
    "predict_inputs",
    "rank",
    "torch_predictor",
]
