"""Predicting before training: how long a network takes on this machine, from layers measured once."""

from convlens.calibrating.kept_calibration import RUNTIME, Calibration, NotCalibratedError, calibrate, calibration
from convlens.calibrating.latency import Prediction, predicted_latency

__all__ = [
    "RUNTIME",
    "Calibration",
    "NotCalibratedError",
    "Prediction",
    "calibrate",
    "calibration",
    "predicted_latency",
]
