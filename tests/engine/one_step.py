"""One step of a program alone, between changes of layout, guarded on all sides.

Behind each tensor of the arena lies a zone that must keep its numbers; behind the weights and the images lies a page
that cannot be read, as behind a plan file that fills its last page.

    python one_step.py FOLDER

runs the steps that the tests have left there (CONVLENS_STEPS=FOLDER pytest …) and compares their answers: another
processor needs neither torch nor pytest for that.
"""

from __future__ import annotations

import ctypes
import mmap
import pickle
import sys
from pathlib import Path
from typing import Any

import convlens_kernels as kernels
import numpy as np

ZONE = {"channels": 16, "height": 1, "width": 4, "layout": "blocked", "dtype": "float32"}  # 256 bytes
ZONE_NUMBERS = np.linspace(-9, 9, 64, dtype=np.float32).reshape(1, 16, 1, 4)


def guarded(array: np.ndarray, alignment: int = 4) -> np.ndarray:
    """A copy that ends, up to its alignment, where reading on is a segmentation fault."""
    room = -(-array.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    region = mmap.mmap(-1, room + mmap.PAGESIZE)
    begin = ctypes.addressof(ctypes.c_char.from_buffer(region))
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(begin + room), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    start = (room - array.nbytes) // alignment * alignment
    copy = np.frombuffer(region, array.dtype, array.size, start).reshape(array.shape)
    copy[...] = array
    return copy


def run_step(
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
            made["offset"] = arena
            arena += -(-kernels.tensor_bytes(made) // 64) * 64
            zones.append(len(tensors))
            tensors.append(ZONE | {"offset": arena})
            arena += 256
        tensors.append(made)
        return len(tensors) - 1

    zones: list[int] = []
    zone_numbers = tensor((16, 1, 4), "float32", "nchw")
    steps, inputs, feeds = [], [zone_numbers], [np.repeat(ZONE_NUMBERS, len(x), 0)]
    step = dict(step)
    for field, array in {"x": x, **others}.items():
        source = tensor(array.shape[1:], "float32", "nchw")
        inputs.append(source)
        feeds.append(guarded(np.ascontiguousarray(array, np.float32)))
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
    steps = [{"op": "convert", "x": zone_numbers, "y": zone} for zone in zones] + steps
    for zone in zones:
        outputs.append(tensor((16, 1, 4), "float32", "nchw"))
        steps.append({"op": "convert", "x": zone, "y": outputs[-1]})
    program = kernels.Program(
        {
            "isa": kernels.isa(),
            "arena": arena,
            "inputs": inputs,
            "outputs": outputs,
            "tensors": tensors,
            "steps": steps,
        },
        [guarded(packed, 64)] if packed.size else [],
        threads=threads,
    )
    results = program.run(*feeds)
    for kept in results[-len(zones) :]:
        np.testing.assert_array_equal(kept, feeds[0], err_msg="something wrote behind its tensor")
    results = results[: -len(zones)]
    if not step.get("store", True):
        return results[0]
    y, *mean = results
    y = y.reshape(len(x), *y_shape)  # a map of one pixel comes back as (N, C)
    return (y, *mean) if pooled else y


def keep(folder: Path, words: tuple[Any, ...], named: dict[str, Any], answer: Any) -> None:
    """Leave a step, what it was given and its answer."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{len(list(folder.iterdir())):05}.step"
    (folder / name).write_bytes(pickle.dumps(_plain((words, named, answer))))


def _plain(value: Any) -> Any:
    """The same without torch."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return list(map(_plain, value))
    if isinstance(value, tuple):  # a torch.Size, too
        return tuple(map(_plain, value))
    return value.detach().numpy() if hasattr(value, "detach") else value


def _distance(found: np.ndarray, expected: np.ndarray) -> float:
    """Relative L2 distance where both are finite; infinite where one is not and the other differs."""
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    finite = np.isfinite(found) & np.isfinite(expected)
    if not (same | finite).all():
        return np.inf
    difference = np.linalg.norm(found[finite].astype(np.float64) - expected[finite])
    return float(difference / max(np.linalg.norm(expected[finite].astype(np.float64)), 1e-30)) if difference else 0.0


def main(folder: str) -> int:
    """Run what was left; says which answers differ by more than rounding explains."""
    paths, wrong, refused = sorted(Path(folder).iterdir()), 0, 0
    for path in paths:
        words, named, expected = pickle.loads(path.read_bytes())
        try:
            found = run_step(*words, **named)
        except ValueError as error:
            if "no such tile" not in str(error):
                raise
            refused += 1  # of another vector width
            continue
        pairs = zip(found, expected, strict=True) if isinstance(found, tuple) else [(found, expected)]
        rounded = named.get("dtype", "float32") != "float32" or named.get("types") or words[0].get("compute") == "int8"
        distance = max(_distance(*pair) for pair in pairs)
        if distance > (2e-2 if rounded else 1e-5):
            wrong += 1
            print(f"{path.name}: {distance:.1e} {words[0]}")
    print(f"{kernels.isa()}: {len(paths) - refused} steps, {wrong} wrong; {refused} name tiles that it does not have")
    return 1 if wrong or len(paths) == refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
