"""Export: choose a precision, translate, prove, write."""

from convlens.shipping.exporting import Artifact, export

__all__ = ["Artifact", "export"]
