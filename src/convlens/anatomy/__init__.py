"""What can be read off the graph of any module: shapes, parameters, costs, memory, receptive fields."""

from convlens.anatomy.anatomy import Anatomy
from convlens.anatomy.inference_memory import InferenceMemory
from convlens.anatomy.module_tree import ModuleNode
from convlens.anatomy.receptive import ReceptiveField
from convlens.anatomy.rows import Row
from convlens.anatomy.sheet import Sheet, inspect
from convlens.anatomy.training_memory import TrainingMemory, training_memory
from convlens.anatomy.wrong_shape import ForwardError, ValuesDecideError, WrongShapeError

__all__ = [
    "Anatomy",
    "ForwardError",
    "InferenceMemory",
    "ModuleNode",
    "ReceptiveField",
    "Row",
    "Sheet",
    "TrainingMemory",
    "ValuesDecideError",
    "WrongShapeError",
    "inspect",
    "training_memory",
]
