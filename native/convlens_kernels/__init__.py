"""Kernels for convolutional networks on a processor, and an executor for programs of them; see README.md."""

from .images import ImageError
from .plan_file import Plan, PlanError, read_plan, write_plan
from .predictor import Prediction, Predictor, load
from .program import (
    Program,
    aligned_bytes,
    constant_bytes,
    isa,
    isas,
    measure_peak,
    measure_step,
    pack,
    step_macs,
    tensor_bytes,
    variants,
)

__all__ = [
    "ImageError",
    "Plan",
    "PlanError",
    "Prediction",
    "Predictor",
    "Program",
    "aligned_bytes",
    "constant_bytes",
    "isa",
    "isas",
    "load",
    "measure_peak",
    "measure_step",
    "pack",
    "read_plan",
    "step_macs",
    "tensor_bytes",
    "variants",
    "write_plan",
]
