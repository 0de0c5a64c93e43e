"""A network as a callable on the kernels."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convlens.engine.plan import Plan, Precision, make_plan
from convlens.errors import ConvlensError, unknown_name
from convlens.processors import default_threads

if TYPE_CHECKING:
    import torch
    from torch import nn

log = logging.getLogger("convlens.engine")


class CompiledNetwork:
    """A network on the engine; made by `compile`. Calls from several threads are safe.

    Attributes:
        plan: what it executes.
        threads: that a call may use.
    """

    def __init__(self, plan: Plan, threads: int) -> None:
        self.plan = plan
        self.threads = threads
        self._program = plan.program(threads=threads)

    def __call__(self, x: "NDArray[Any] | torch.Tensor") -> Any:
        """Run a batch, (N, C, H, W) float32 or, for a plan that begins at pixels, (N, H, W, C) uint8.

        Returns:
            What the network gives, one or a tuple of several: of NumPy for an array, of PyTorch for a tensor.

        Raises:
            ConvlensError: another shape or type than the plan takes.
        """
        given = x if isinstance(x, np.ndarray) else x.detach().cpu().numpy()
        try:
            answer = self._program.run(np.ascontiguousarray(given))
        except ValueError as error:
            raise ConvlensError(f"the compiled network cannot take this: {error}") from None
        if isinstance(x, np.ndarray):
            return answer
        import torch

        return tuple(map(torch.from_numpy, answer)) if isinstance(answer, tuple) else torch.from_numpy(answer)

    def measure(self, repeats: int = 15) -> list[float]:
        """The median microseconds of each step of the plan, for one image of noise."""
        (first,) = self.plan.description["inputs"]
        tensor = self.plan.description["tensors"][first]
        chance = np.random.default_rng(0)
        if tensor["layout"] == "nhwc":
            shape = (1, tensor["height"], tensor["width"], tensor["channels"])
            return list(self._program.measure(chance.integers(0, 256, shape, np.uint8), repeats=repeats))
        x = chance.normal(size=(1, tensor["channels"], tensor["height"], tensor["width"])).astype(np.float32)
        return list(self._program.measure(x, repeats=repeats))

    def __repr__(self) -> str:
        plan = self.plan
        return (
            f"<CompiledNetwork: {len(plan.steps)} steps, {plan.precision}, {plan.weight_bytes / 1e6:.1f} MB weights, "
            f"{plan.arena_bytes / 1e6:.1f} MB an image, {self.threads} thread(s)>"
        )


def compile(
    module: "nn.Module",
    size: Sequence[int],
    *,
    precision: Precision = "float32",
    calibration: "NDArray[np.float32] | None" = None,
    threads: int | None = None,
    tune: bool = True,
    pixels: "tuple[tuple[float, ...], tuple[float, ...]] | None" = None,
) -> CompiledNetwork:
    """Put a module on the engine's kernels.

    Args:
        module: any module from images (N, C, H, W) to maps or vectors whose operators the engine knows; as it is now,
            in evaluation mode.
        size: (C, H, W).
        precision: `"float32"`; `"bfloat16"` for weights and maps, with sums in float32, which a processor without it
            computes in float32; or `"int8"` for the products of dense convolutions, with exact sums.
        calibration: for int8, preprocessed images (N, C, H, W) like those that will come; their activations decide the
            ranges of whole numbers. Some dozens that show everything are enough.
        threads: that a call may use; None takes the processors that the container has.
        tune: measure kernels and tiles here, once; remembered for the next time.
        pixels: mean and deviation of each channel: the compiled network then takes uint8 (N, H, W, C).

    Raises:
        UnknownOperatorError: the module does something that the engine has no kernel for.
        ConvlensError: convlens-kernels is not installed, or the module does not take such an image.

    >>> from torch import nn
    >>> fast = compile(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), (3, 16, 16), tune=False)
    >>> fast(np.zeros((2, 3, 16, 16), np.float32)).shape
    (2, 8, 14, 14)
    """
    from convlens.engine.fusing import fuse
    from convlens.engine.int8 import quantise
    from convlens.engine.lowering import BATCH, lower
    from convlens.graph import record

    require_kernels()
    precision = _on_this_processor(check_precision(precision))
    _check_calibration(precision, calibration, size)
    if threads is not None and threads < 1:
        raise ConvlensError(f"threads is {threads}; use at least 1")
    graph = record(module, (BATCH, *size))
    if graph.failure is not None:
        raise ConvlensError(f"the module does not take an image of {tuple(size)}: {graph.failure.error}")
    count = threads or default_threads()
    draft = fuse(lower(graph))
    if calibration is not None:
        quantise(draft, np.asarray(calibration, np.float32))
    return CompiledNetwork(make_plan(draft, precision=precision, threads=count, tune=tune, pixels=pixels), count)


def check_precision(precision: str) -> Precision:
    """Stop unless the engine and this processor know a precision.

    Raises:
        ConvlensError: with those that there are.
    """
    known: tuple[Precision, ...] = ("float32", "bfloat16", "int8")
    for name in known:
        if precision == name:
            return name
    raise unknown_name("precision of the engine", precision, known)


def _on_this_processor(precision: Precision) -> Precision:
    """The precision, or float32 with a message where bfloat16 would only be imitated, slower than float32."""
    import convlens_kernels as kernels

    if precision != "bfloat16" or kernels.isa() == "avx512bf16":
        return precision
    log.warning("the engine computes in float32: this processor has no bfloat16 (it uses %s)", kernels.isa())
    return "float32"


def _check_calibration(precision: Precision, calibration: "NDArray[Any] | None", size: Sequence[int]) -> None:
    if precision != "int8":
        if calibration is not None:
            raise ConvlensError(f"calibration is for int8, and the precision is {precision!r}; leave one of them out")
        return
    if calibration is None:
        raise ConvlensError("int8 needs images to choose its ranges on; give calibration, (N, C, H, W) float32")
    shape = np.shape(calibration)
    if len(shape) != 4 or not shape[0] or tuple(shape[1:]) != tuple(size):
        raise ConvlensError(f"calibration has the shape {shape}; use (N, {', '.join(map(str, size))}), N at least 1")
    if not np.isfinite(calibration).all():
        raise ConvlensError("calibration holds numbers that are infinite or none; use preprocessed images")


def require_kernels() -> None:
    """Stop unless the kernels are installed.

    Raises:
        ConvlensError: saying how to install them.
    """
    from importlib.util import find_spec

    if find_spec("convlens_kernels") is None:
        raise ConvlensError("the runtime 'engine' needs convlens-kernels; pip install './native' in Convlens' sources")
