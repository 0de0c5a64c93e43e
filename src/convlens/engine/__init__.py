"""Graph to plan to answers on convlens-kernels: fold, fuse, lay out, choose kernels, run."""

from convlens.engine.compiled import CompiledNetwork, check_precision, compile, require_kernels
from convlens.engine.draft import UnknownOperatorError
from convlens.engine.plan import Plan, PlannedStep, Precision
from convlens.engine.table import as_table, measured

__all__ = [
    "CompiledNetwork",
    "Plan",
    "PlannedStep",
    "Precision",
    "UnknownOperatorError",
    "as_table",
    "check_precision",
    "compile",
    "measured",
    "require_kernels",
]
