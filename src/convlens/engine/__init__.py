"""Graph to plan to answers on convlens-kernels: fold, fuse, lay out, choose kernels, run."""

from convlens.engine.compiled import CompiledNetwork, compile, require_kernels
from convlens.engine.draft import UnknownOperatorError
from convlens.engine.plan import Plan, PlannedStep, Precision

__all__ = ["CompiledNetwork", "Plan", "PlannedStep", "Precision", "UnknownOperatorError", "compile", "require_kernels"]
