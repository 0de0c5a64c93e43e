"""Programs: plain data in, NumPy arrays in and out. Shapes, layouts and steps are described in README.md."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _native

Description = Mapping[str, Any]
Array = npt.NDArray[Any]
ALIGNMENT = 64


def isa() -> str:
    """The instruction set in use: the best that this processor runs, or the one that CONVLENS_ISA names."""
    return str(_native.isa())


def isas() -> tuple[str, ...]:
    """The instruction sets that this processor runs, best first."""
    return tuple(_native.isas())


def tensor_bytes(tensor: Description) -> int:
    """The bytes that one image of a tensor takes."""
    return int(_native.tensor_bytes(dict(tensor)))


def variants(step: Description, tensors: Sequence[Description], isa: str | None = None) -> list[dict[str, Any]]:
    """The kernels and tiles that can run a step, as fields to merge into it; the first is a guess."""
    return list(_native.variants(dict(step), [dict(t) for t in tensors], isa or ""))


def constant_bytes(step: Description, tensors: Sequence[Description], isa: str | None = None) -> int:
    """The size of a step's packed weights with its variant and tile; 0 where it has none."""
    return int(_native.constant_bytes(dict(step), [dict(t) for t in tensors], isa or ""))


def step_macs(step: Description, tensors: Sequence[Description]) -> float:
    """The multiply-accumulates of a step for one image, as a direct sum would need them."""
    return float(_native.step_macs(dict(step), [dict(t) for t in tensors]))


def measure_peak(dtype: str = "float32", seconds: float = 0.2) -> float:
    """Multiply-accumulates a second that one core of this processor reaches in registers."""
    types = ("float32", "bfloat16", "int8")
    if dtype not in types:
        raise ValueError(f'dtype must be "float32", "bfloat16" or "int8", not {dtype!r}')
    return float(_native.peak(types.index(dtype), seconds))


def aligned_bytes(size: int) -> npt.NDArray[np.uint8]:
    """Zeros that start at a multiple of 64 bytes, as kernels want their weights."""
    room = np.zeros(size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size]


def pack(
    step: Description, tensors: Sequence[Description], arrays: Mapping[str, Array], isa: str | None = None
) -> npt.NDArray[np.uint8]:
    """Weights as the step's kernel and tile read them."""
    packed = aligned_bytes(constant_bytes(step, tensors, isa))
    given = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items() if array is not None}
    _native.pack(dict(step), [dict(t) for t in tensors], given, isa or "", packed)
    return packed


def _aligned(constant: Any) -> npt.NDArray[np.uint8]:
    view = (
        np.frombuffer(constant, np.uint8) if not isinstance(constant, np.ndarray) else constant.view(np.uint8).ravel()
    )
    if view.size and view.ctypes.data % ALIGNMENT == 0:
        return view
    copy = aligned_bytes(view.size)
    copy[:] = view
    return copy


class Program:
    """Steps that are checked once and can then be run any number of times, from any number of threads."""

    def __init__(self, description: Description, constants: Sequence[Any], *, threads: int = 1) -> None:
        known = {"isa", "arena", "batch_arena", "inputs", "outputs", "tensors", "steps"}
        if unknown := sorted(set(description) - known):
            raise ValueError(f"a program has no field {unknown[0]!r}; it has {', '.join(sorted(known))}")
        for field in ("arena", "inputs", "outputs", "tensors", "steps"):
            if field not in description:
                raise ValueError(f"a program needs the field {field!r}")
        made_for = description.get("isa") or isa()
        if made_for != isa():
            raise ValueError(
                f"this program was packed for {made_for}, and this process uses {isa()}: pack it anew here, "
                f"or set CONVLENS_ISA={made_for} where the processor runs it (this one runs {', '.join(isas())})"
            )
        _threads(threads)
        self.description = description
        self.threads = threads
        self._tensors = [dict(t) for t in description["tensors"]]
        self._constants = [_aligned(c) for c in constants]
        for name in ("inputs", "outputs"):
            for index in description[name]:
                if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(self._tensors):
                    raise ValueError(f"{name}: there is no tensor {index!r}")
        self._native = _native.Program(
            self._tensors,
            [dict(s) for s in description["steps"]],
            self._constants,
            list(description["inputs"]),
            list(description["outputs"]),
            int(description["arena"]),
            int(description.get("batch_arena") or 0),
            made_for,
        )

    @property
    def arena_bytes(self) -> int:
        """Bytes of activations for each image that is worked on at the same time."""
        return int(self.description["arena"])

    @property
    def scratch_bytes(self) -> int:
        """Bytes that each thread needs beside the activations."""
        return int(self._native.scratch_bytes(self.threads))

    @property
    def constant_bytes(self) -> int:
        """Bytes of packed weights."""
        return sum(c.size for c in self._constants)

    def run(self, *inputs: Array, threads: int | None = None) -> Any:
        """Run a batch.

        Each input: (N, C, H, W) float32, or (N, H, W, C) uint8 where the program's input is nhwc. Returns the output,
        (N, C, H, W) or (N, C) float32, or a tuple of them. ValueError if a shape or a dtype is not the program's.
        """
        if not inputs:
            raise ValueError("a program is run with its inputs, and none was given")
        given = [self._input(index, x) for index, x in zip(self._indices("inputs", len(inputs)), inputs, strict=True)]
        images = given[0].shape[0]
        if any(x.shape[0] != images for x in given):
            raise ValueError(f"all inputs must have the same number of images, not {[x.shape[0] for x in given]}")
        outputs = [np.empty(self._shape(index, images), np.float32) for index in self.description["outputs"]]
        if images:
            count = self.threads if threads is None else _threads(threads)
            self._native.run([_flat(x) for x in given], [_flat(y) for y in outputs], images, count)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    __call__ = run

    def measure(self, *inputs: Array, repeats: int = 20, threads: int | None = None) -> list[float]:
        """The median µs of each step for one image, in the order of the steps."""
        given = [self._input(i, x)[:1] for i, x in zip(self._indices("inputs", len(inputs)), inputs, strict=True)]
        outputs = [np.empty(self._shape(index, 1), np.float32) for index in self.description["outputs"]]
        count = self.threads if threads is None else _threads(threads)
        rounds = [
            self._native.measure([_flat(x) for x in given], [_flat(y) for y in outputs], count)
            for _ in range(repeats + 1)
        ]
        return [statistics.median(step) for step in zip(*rounds[1:], strict=True)]

    def step_macs(self) -> list[float]:
        """The multiply-accumulates of each step for one image."""
        return [float(self._native.macs(i)) for i in range(len(self.description["steps"]))]

    def _indices(self, kind: str, count: int) -> list[int]:
        indices = list(self.description[kind])
        if len(indices) != count:
            raise ValueError(f"this program has {len(indices)} {kind}, not {count}")
        return indices

    def _shape(self, index: int, images: int) -> tuple[int, ...]:
        t = self._tensors[index]
        channels, height, width = t["channels"], t["height"], t["width"]
        if t.get("layout") == "nhwc":
            return images, height, width, channels
        is_vector = height == 1 and width == 1 and index in self.description["outputs"]
        return (images, channels) if is_vector else (images, channels, height, width)

    def _input(self, index: int, x: Array) -> Array:
        dtype = np.dtype(np.uint8 if self._tensors[index].get("layout") == "nhwc" else np.float32)
        if not isinstance(x, np.ndarray) or x.dtype != dtype:
            raise ValueError(f"the input must be a NumPy array of {dtype}, not {getattr(x, 'dtype', type(x).__name__)}")
        expected = self._shape(index, 0)[1:]
        if x.shape[1:] != expected or x.ndim != len(expected) + 1:
            wanted = ", ".join(["N", *map(str, expected)])
            raise ValueError(f"the input must have shape ({wanted}), not {x.shape}")
        return np.ascontiguousarray(x)


def _threads(threads: int) -> int:
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise ValueError(f"threads must be an integer of at least 1, not {threads!r}")
    return threads


def _flat(array: Array) -> npt.NDArray[np.uint8]:
    return array.reshape(-1).view(np.uint8)


def measure_step(
    step: Description,
    tensors: Sequence[Description],
    arrays: Mapping[str, Array],
    *,
    repeats: int = 10,
    threads: int = 1,
    constant: Array | None = None,
) -> float:
    """The shortest µs of one step on random activations, with its weights and activations out of the nearer caches."""
    chosen = {k: v for k, v in step.items() if k != "constant"}
    packed = pack(chosen, tensors, arrays) if constant is None else constant
    used = sorted(
        {chosen[k] for k in ("x", "y", "residual", "gate", "pool", "other") if isinstance(chosen.get(k), int)}
    )
    renamed = {old: new for new, old in enumerate(used)}
    program_tensors: list[dict[str, Any]] = []
    offset = 0
    for index in used:
        tensor = dict(tensors[index])
        if tensor.get("layout", "blocked") == "blocked":
            tensor |= {"offset": offset, "space": "image"}
            offset += -(-tensor_bytes(tensor) // ALIGNMENT) * ALIGNMENT
        program_tensors.append(tensor)
    alone = {
        k: renamed[v] if k in ("x", "y", "residual", "gate", "pool", "other") and v is not None else v
        for k, v in chosen.items()
    }
    external = [i for i, t in enumerate(program_tensors) if t.get("layout", "blocked") != "blocked"]
    description = {
        "arena": offset,
        "inputs": [i for i in external if i != alone["y"]],
        "outputs": [i for i in external if i == alone["y"]],
        "tensors": program_tensors,
        "steps": [alone | {"constant": 0 if packed.size else None}],
    }
    program = Program(description, [packed] if packed.size else [], threads=threads)
    random = np.random.default_rng(0)
    inputs = []
    for i in description["inputs"]:
        shape = program._shape(i, 1)
        is_bytes = program_tensors[i].get("layout") == "nhwc"
        inputs.append(random.integers(0, 256, shape).astype(np.uint8) if is_bytes else random.random(shape, np.float32))
    outputs = [np.empty(program._shape(i, 1), np.float32) for i in description["outputs"]]
    flat_inputs, flat_outputs = [_flat(x) for x in inputs], [_flat(y) for y in outputs]
    sweep = np.zeros(1 << 19, np.float64)  # 4 MB: more than the nearer caches hold
    times = []
    for _ in range(repeats + 1):
        sweep += 1
        times.append(program._native.measure(flat_inputs, flat_outputs, threads)[0])
    return min(times[1:])
