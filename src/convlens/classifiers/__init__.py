"""The one door to a network that classifies: runs, artifacts, names of the catalogue, code and modules."""

from convlens.classifiers.classifier import Classifier, Kind, Provenance
from convlens.classifiers.resolve import resolve
from convlens.data.class_labels import read_class_names

__all__ = ["Classifier", "Kind", "Provenance", "read_class_names", "resolve"]
