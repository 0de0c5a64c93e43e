"""Which kernel and tile a step takes on this processor: measured once, and remembered."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens import files
from convlens.processors import processor_name

Step = dict[str, Any]
_REPEATS = 7
_INDICES = ("x", "y", "residual", "gate", "pool", "other", "constant")
_SCALES = ("scale", "zero_point")  # of whole numbers: no time depends on them


class Tuner:
    """Chooses variants of steps.

    Args:
        threads: that a call uses.
        measure: whether to measure; the kernels' own guess is taken if not.
    """

    def __init__(self, threads: int, *, measure: bool) -> None:
        self.threads = threads
        self.measures = measure
        self._file = files.cache_folder() / "engine" / f"tiles-{_machine()}.json"
        self._known: dict[str, Any] = files.remembered(self._file) if measure else {}
        self._new = False

    def best(
        self, step: Step, tensors: Sequence[Mapping[str, Any]], weights: Mapping[str, NDArray[Any]]
    ) -> tuple[Step, float]:
        """The fields that choose a variant, and its µs; 0 where nothing was measured."""
        import convlens_kernels as kernels

        able = kernels.variants(step, tensors)
        if not self.measures or not able:
            return (able[0] if able else {}), 0.0
        key = self._key(step, tensors)
        if key not in self._known:
            times = [
                kernels.measure_step(step | each, tensors, weights, repeats=_REPEATS, threads=self.threads)
                for each in able
            ]
            fastest = int(np.argmin(times))
            self._known[key] = [able[fastest], times[fastest]]
            self._new = True
        chosen, microseconds = self._known[key]
        return dict(chosen), float(microseconds)

    def keep(self) -> None:
        """Write down what was measured."""
        if self._new:
            files.write_json(self._file, files.remembered(self._file) | self._known)

    def _key(self, step: Step, tensors: Sequence[Mapping[str, Any]]) -> str:
        """What the time depends on: the settings and the shapes, not where anything lies."""
        shapes = {
            name: {k: v for k, v in tensors[step[name]].items() if k not in ("offset", "space", *_SCALES)}
            for name in _INDICES[:-1]
            if step.get(name) is not None
        }
        settings = {name: value for name, value in step.items() if name not in (*_INDICES, *_SCALES)}
        text = json.dumps([settings, shapes, self.threads], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def _machine() -> str:
    """The processor and the kernels as they were built: other ones are measured anew."""
    from importlib.metadata import distribution

    import convlens_kernels as kernels

    installed = distribution("convlens-kernels")
    text = f"{processor_name()} {kernels.isa()} {installed.read_text('RECORD') or installed.version}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
