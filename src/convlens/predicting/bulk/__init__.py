"""Predictions for as many images as there are: in pieces, in bounded memory, and a restart goes on where it stopped."""

from convlens.predicting.bulk.answering import predict_to_file as predict_to_file
from convlens.predicting.bulk.unfinished import Summary as Summary

__all__ = ["Summary", "predict_to_file"]
