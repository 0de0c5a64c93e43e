"""What this machine can do at most: the two roofs of the roofline, measured and not looked up.

Williams, Waterman and Patterson, Roofline: an insightful visual performance model for multicore architectures, 2009.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from convlens.predicting.measuring import interleave
from convlens.processors import processor_name

_SIDE = 1024  # of the matrices: large enough to be bound by arithmetic
_FLOATS = 32_000_000  # of each of the three arrays: many times the caches


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The peaks of this machine.

    Args:
        processor: what it calls itself.
        threads: that were used.
        operations: precision -> the most 10⁹ additions and multiplications a second that a matrix product reached.
        bandwidth: 10⁹ bytes a second that a sum of two arrays moved.
    """

    processor: str
    threads: int
    operations: dict[str, float]
    bandwidth: float

    def at_best(self, other: "Machine") -> "Machine":
        """The higher of two measurements, for a machine that others load is weaker at times, never stronger."""
        names = dict.fromkeys((*self.operations, *other.operations))
        operations = {n: max(self.operations.get(n, 0.0), other.operations.get(n, 0.0)) for n in names}
        return replace(self, operations=operations, bandwidth=max(self.bandwidth, other.bandwidth))


def measure_machine(threads: int, seconds: float = 0.5) -> Machine:
    """Measure the peaks with PyTorch's own matrix product and sum.

    Args:
        threads: to use.
        seconds: for each measurement.
    """
    import torch

    torch.set_num_threads(threads)
    products = {precision: _product(precision) for precision in ("float32", "bfloat16", "int8")}
    with torch.inference_mode():
        able = {precision: product for precision, product in products.items() if _runs(product)}
        timings = interleave(able, seconds=seconds * len(able))
        fastest = {name: timing.best for name, timing in timings.items()}
        a, b, total = torch.ones(_FLOATS), torch.ones(_FLOATS), torch.empty(_FLOATS)
        moved = interleave({"sum": lambda: torch.add(a, b, out=total)}, seconds=seconds)["sum"].best
    return Machine(
        processor=processor_name(),
        threads=threads,
        operations={name: 2 * _SIDE**3 / milliseconds / 1e6 for name, milliseconds in fastest.items()},
        bandwidth=3 * 4 * _FLOATS / moved / 1e6,
    )


def _product(precision: str) -> Callable[[], Any]:
    import torch

    if precision == "int8":
        # The one int8 matrix product that PyTorch has for processors; the underscore is PyTorch's.
        a, b = (torch.randint(-127, 128, (_SIDE, _SIDE), dtype=torch.int8) for _ in range(2))
        return lambda: torch._int_mm(a, b)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    c, d = (torch.randn(_SIDE, _SIDE).to(dtype) for _ in range(2))
    return lambda: c @ d


def _runs(product: Callable[[], Any]) -> bool:
    try:
        product()
    except (RuntimeError, AttributeError, NotImplementedError):  # a torch or a processor without it
        return False
    return True
