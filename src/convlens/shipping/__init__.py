"""Export, quantise, verify; predictors on several runtimes."""

from convlens.shipping.exporting import Artifact, export
from convlens.shipping.formats import FORMATS, Format
from convlens.shipping.loading import load
from convlens.shipping.manifest import ArtifactError, Manifest
from convlens.shipping.predictor import Predictor
from convlens.shipping.runtimes import RUNTIMES, Runtime

__all__ = [
    "FORMATS",
    "RUNTIMES",
    "Artifact",
    "ArtifactError",
    "Format",
    "Manifest",
    "Predictor",
    "Runtime",
    "export",
    "load",
]
