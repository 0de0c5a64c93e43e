"""The one door to a network that classifies: runs, artifacts, names of the catalogue, code and modules."""

from convlens.classifiers.class_names_file import read_class_names
from convlens.classifiers.classifier import Classifier, Kind, Provenance
from convlens.classifiers.resolve import resolve

__all__ = ["Classifier", "Kind", "Provenance", "read_class_names", "resolve"]
