"""Export: choose a precision, translate, prove, write."""

from convlens.artifacts.writing import Artifact
from convlens.shipping.exporting import export

__all__ = ["Artifact", "export"]
