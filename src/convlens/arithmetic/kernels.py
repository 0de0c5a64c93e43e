"""Kernels that have a name."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.errors import unknown_name

# name -> (rows, divisor, what it does); applied as a correlation, as a layer does
_TABLE: dict[str, tuple[list[list[int]], int, str]] = {
    "lecture": ([[0, 1, 2], [2, 2, 0], [0, 1, 2]], 1, "the kernel of the lecture's example"),
    "identity": ([[0, 0, 0], [0, 1, 0], [0, 0, 0]], 1, "leaves the image as it is"),
    "shift": ([[0, 0, 0], [1, 0, 0], [0, 0, 0]], 1, "moves the image one cell to the right"),
    "blur": ([[1, 1, 1], [1, 1, 1], [1, 1, 1]], 9, "the mean of the neighbourhood"),
    "gaussian": ([[1, 2, 1], [2, 4, 2], [1, 2, 1]], 16, "a smooth blur, binomial weights"),
    "gaussian5": (
        [[1, 4, 6, 4, 1], [4, 16, 24, 16, 4], [6, 24, 36, 24, 6], [4, 16, 24, 16, 4], [1, 4, 6, 4, 1]],
        256,
        "a wider smooth blur, binomial weights",
    ),
    "sharpen": ([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], 1, "the image plus its edges"),
    "edges": ([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], 1, "differences to all eight neighbours"),
    "laplacian": ([[0, 1, 0], [1, -4, 1], [0, 1, 0]], 1, "the second derivative"),
    "sobel": ([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], 1, "change from left to right: vertical edges"),
    "sobel-rows": ([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], 1, "change from top to bottom: horizontal edges"),
    "prewitt": ([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]], 1, "change from left to right, equal weights"),
    "prewitt-rows": ([[-1, -1, -1], [0, 0, 0], [1, 1, 1]], 1, "change from top to bottom, equal weights"),
    "scharr": ([[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]], 1, "change from left to right, closer to rotation-invariant"),
    "roberts": ([[1, 0], [0, -1]], 1, "change along a diagonal"),
    "emboss": ([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], 1, "light from the upper left"),
}


def names() -> tuple[str, ...]:
    """Every kernel's name."""
    return tuple(_TABLE)


def purpose(name: str) -> str:
    """What a kernel does, in a few words.

    >>> purpose("sobel")
    'change from left to right: vertical edges'
    """
    return _found(name)[2]


def named(name: str) -> NDArray[Any]:
    """The kernel of that name, `(kH, kW)`: int64, or float64 where it is divided.

    Raises:
        UnknownNameError: with the nearest names.

    >>> named("sobel").tolist()
    [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    """
    rows, divisor, _ = _found(name)
    taps = np.array(rows)
    return taps if divisor == 1 else taps / divisor


def _found(name: str) -> tuple[list[list[int]], int, str]:
    if name not in _TABLE:
        raise unknown_name("kernel", name, _TABLE)
    return _TABLE[name]
