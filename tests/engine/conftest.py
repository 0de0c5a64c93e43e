"""One step alone in a program, between changes of layout, to be compared with torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

kernels = pytest.importorskip("convlens_kernels", reason="the kernels are not installed: pip install ./native")

RunStep = Callable[..., np.ndarray]


def _run_step(
    step: dict[str, Any],
    x: np.ndarray,
    y_shape: tuple[int, int, int],
    arrays: dict[str, np.ndarray] | None = None,
    *,
    dtype: str = "float32",
    threads: int = 1,
    pooled: bool = False,
    types: dict[str, dict[str, Any]] | None = None,
    **others: np.ndarray,
) -> Any:
    """The step's output for x (N, C, H, W), and with `pooled` the mean.

    `others` are its further tensors by field (residual, gate, other). `types` gives single tensors other types than
    `dtype`: field -> dtype, and for uint8 scale and zero_point.
    """
    types = types or {}
    tensors: list[dict[str, Any]] = []
    arena = 0

    def tensor(shape: tuple[int, ...], dtype: str | dict[str, Any] = dtype, layout: str = "blocked") -> int:
        nonlocal arena
        made = dict(zip(("channels", "height", "width"), map(int, shape), strict=True), layout=layout)
        made |= {"dtype": dtype} if isinstance(dtype, str) else dtype
        if layout == "blocked":
            # a guard zone behind each tensor
            made["offset"] = arena
            arena += -(-kernels.tensor_bytes(made) // 64) * 64 + 256
        tensors.append(made)
        return len(tensors) - 1

    steps, inputs, feeds = [], [], []
    step = dict(step)
    for field, array in {"x": x, **others}.items():
        source = tensor(array.shape[1:], "float32", "nchw")
        inputs.append(source)
        feeds.append(np.ascontiguousarray(array, np.float32))
        step[field] = tensor(array.shape[1:], types.get(field, "float32" if field == "gate" else dtype))
        steps.append({"op": "convert", "x": source, "y": step[field]})
    step["y"] = tensor(y_shape, types.get("y", dtype))
    if pooled:
        step["pool"] = tensor((y_shape[0], 1, 1), "float32")
    packed = kernels.pack(step, tensors, arrays or {})
    steps.append(step | ({"constant": 0} if packed.size else {}))
    outputs = []
    for result in [step["y"]] * step.get("store", True) + [step.get("pool")] * pooled:
        outputs.append(tensor(tuple(tensors[result][k] for k in ("channels", "height", "width")), "float32", "nchw"))
        steps.append({"op": "convert", "x": result, "y": outputs[-1]})
    program = kernels.Program(
        {
            "isa": kernels.isa(),
            "arena": arena,
            "inputs": inputs,
            "outputs": outputs,
            "tensors": tensors,
            "steps": steps,
        },
        [packed] if packed.size else [],
        threads=threads,
    )
    results = program.run(*feeds)
    if not step.get("store", True):
        return results
    y, *mean = results if pooled else (results,)
    y = y.reshape(len(x), *y_shape)  # a map of one pixel comes back as (N, C)
    return (y, *mean) if pooled else y


@pytest.fixture
def run_step() -> RunStep:
    return _run_step
