"""Kernels for convolutional networks on a processor, and an executor for programs of them; see README.md."""

from .program import (
    Program,
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
    "Program",
    "constant_bytes",
    "isa",
    "isas",
    "measure_peak",
    "measure_step",
    "pack",
    "step_macs",
    "tensor_bytes",
    "variants",
]
