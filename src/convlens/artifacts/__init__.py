"""Shipped networks: their formats, what they say of themselves, and the proof that they answer as the network does."""

from convlens.artifacts.artifact_formats import FORMATS, Format
from convlens.artifacts.manifest import ArtifactError, Manifest

__all__ = ["FORMATS", "ArtifactError", "Format", "Manifest"]
