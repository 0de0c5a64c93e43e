"""The window that slides: kernel size, stride, dilation and padding, checked once and spelt out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.arithmetic.geometry import axis_padding, dilated_extent, output_size
from convlens.arithmetic.padding import Sides, two_sides
from convlens.arithmetic.setting_error import ArithmeticSettingError

Pair = int | tuple[int, int]
Padding = int | tuple[int, int] | Sides | str


@dataclass(frozen=True, kw_only=True)
class Sliding:
    """A window on rows and columns.

    Attributes:
        kernel_size: taps (rows, columns).
        stride: cells between neighbouring windows (rows, columns).
        dilation: cells between neighbouring taps (rows, columns).
        padding: ((top, bottom), (left, right)).
    """

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: Sides

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Positions (rows, columns) of the window on an input of `size` (rows, columns)."""
        rows, columns = (
            output_size(size[axis], self.kernel_size[axis], stride=self.stride[axis], padding=self.padding[axis],
                        dilation=self.dilation[axis])
            for axis in (0, 1)
        )  # fmt: skip
        return rows, columns


def sliding(kernel_size: Pair, *, stride: Pair = 1, padding: Padding = 0, dilation: Pair = 1) -> Sliding:
    """Check a window's settings and spell them out.

    Raises:
        ArithmeticSettingError: a number that is not positive, or `"same"` with a stride above 1.

    >>> sliding(3, padding="same").padding
    ((1, 1), (1, 1))
    """
    kernel = pair("kernel_size", kernel_size)
    spacing, steps = pair("dilation", dilation), pair("stride", stride)
    if not isinstance(padding, str):
        return Sliding(kernel_size=kernel, stride=steps, dilation=spacing, padding=two_sides(padding))
    if padding == "same" and steps != (1, 1):
        raise ArithmeticSettingError(
            f"padding 'same' keeps the size only at stride 1, and stride is {steps}; give the padding as numbers"
        )
    rows, columns = (axis_padding(padding, kernel[axis], spacing[axis]) for axis in (0, 1))
    return Sliding(kernel_size=kernel, stride=steps, dilation=spacing, padding=(rows, columns))


def windows(padded: NDArray[Any], window: Sliding) -> NDArray[Any]:
    """Every window's cells, as a view: `(..., H, W)` to `(..., outH, outW, kH, kW)`.

    >>> windows(np.arange(9).reshape(3, 3), sliding(2))[1, 1].tolist()
    [[4, 5], [7, 8]]
    """
    extent = tuple(dilated_extent(k, d) for k, d in zip(window.kernel_size, window.dilation, strict=True))
    every = np.lib.stride_tricks.sliding_window_view(padded, extent, axis=(-2, -1))
    (stride_rows, stride_columns), (dilation_rows, dilation_columns) = window.stride, window.dilation
    return every[..., ::stride_rows, ::stride_columns, ::dilation_rows, ::dilation_columns]


def pair(name: str, value: Any, *, at_least: int = 1) -> tuple[int, int]:
    """Spell out one number, or two (rows, columns), that must be whole and not below `at_least`.

    >>> pair("stride", 2), pair("stride", (1, 2))
    ((2, 2), (1, 2))
    """
    numbers = (value, value) if np.ndim(value) == 0 else tuple(value)
    whole = all(isinstance(number, int | np.integer) and not isinstance(number, bool) for number in numbers)
    if len(numbers) != 2 or not whole or min(numbers) < at_least:
        raise ArithmeticSettingError(
            f"{name} is {value!r}; use a whole number of at least {at_least}, or two of them: (rows, columns)"
        )
    return int(numbers[0]), int(numbers[1])
