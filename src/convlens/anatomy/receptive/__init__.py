"""Receptive fields: which part of the input can influence each unit, exactly, through any graph."""

from convlens.anatomy.receptive.fields import Places, ReceptiveFields
from convlens.anatomy.receptive.result import ReceptiveField

__all__ = ["Places", "ReceptiveField", "ReceptiveFields"]
