"""Pooling: the maximum or the mean of every window."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convlens.arithmetic.dtypes import sum_dtypes
from convlens.arithmetic.geometry import dilated_extent, pooled_size
from convlens.arithmetic.padding import NO_SOURCE, Sides, gather, sources
from convlens.arithmetic.setting_error import ArithmeticSettingError
from convlens.arithmetic.sliding import Pair, Sliding, sliding, windows


def max_pool2d(
    x: ArrayLike,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: int | tuple[int, int] | Sides = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> NDArray[Any]:
    """Keep the largest number of every window; padding never wins.

    Args:
        x: `(..., H, W)`, real numbers of any dtype.
        kernel_size: a number or (rows, columns).
        stride: a number or (rows, columns); the kernel's size when None.
        padding: at most half of the window: a number, (rows, columns) or ((top, bottom), (left, right)).
        dilation: a number or (rows, columns).
        ceil_mode: also use a last window that hangs over the edge, if it begins inside.

    Returns:
        `(..., outH, outW)`, the same dtype. A window with a NaN gives NaN.

    Raises:
        ArithmeticSettingError: when the settings do not fit the input.

    >>> max_pool2d([[2, -4, 2, 2], [0, 1, 0, -1], [2, 1, 0, 2], [5, -3, 1, 4]], 2).tolist()
    [[2, 2], [5, 4]]
    """
    image = _image(x)
    if image.dtype.kind not in "biuf":
        raise ArithmeticSettingError(f"x is of dtype {image.dtype}; the largest is defined for real numbers only")
    tiling = tile(image.shape[-2:], kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)
    return maxima(image, tiling)


def avg_pool2d(
    x: ArrayLike,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: int | tuple[int, int] | Sides = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> NDArray[Any]:
    """Average every window.

    Args:
        x: `(..., H, W)`.
        kernel_size: a number or (rows, columns).
        stride: a number or (rows, columns); the kernel's size when None.
        padding: at most half of the window, as in `max_pool2d`; padded cells are zeros.
        dilation: a number or (rows, columns).
        ceil_mode: also use a last window that hangs over the edge; what hangs over is never counted.
        count_include_pad: divide by the padded cells too.
        divisor_override: divide every sum by this number instead.

    Returns:
        `(..., outH, outW)`; float64 for integers.

    Raises:
        ArithmeticSettingError: when the settings do not fit the input.

    >>> avg_pool2d([[2, -4, 2, 2], [0, 1, 0, -1], [2, 1, 0, 2], [5, -3, 1, 4]], 2).tolist()
    [[-0.25, 0.75], [1.25, 1.75]]
    """
    image = _image(x)
    tiling = tile(image.shape[-2:], kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)
    return means(image, tiling, tiling.divisors(count_include_pad=count_include_pad, divisor_override=divisor_override))


class Tiling:
    """Where the windows of a pooling lie, on which cells, and how many of those count.

    Attributes:
        window: the window with its stride and dilation; its padding is what the user asked for.
        rows: for every padded row the input row, or `NO_SOURCE`; those that no window reaches too, and with
            `ceil_mode` those past the padding.
        columns: the same for columns.
        output_size: positions (rows, columns).
    """

    def __init__(self, size: tuple[int, int], window: Sliding, output_size: tuple[int, int]) -> None:
        self.window, self.output_size = window, output_size
        self._counted: list[NDArray[np.bool_]] = []
        axes = []
        for axis in (0, 1):
            before, after = window.padding[axis]
            extent = dilated_extent(window.kernel_size[axis], window.dilation[axis])
            needed = (output_size[axis] - 1) * window.stride[axis] + extent
            overhang = max(0, needed - (size[axis] + before + after))
            axes.append(sources(size[axis], before, after + overhang))
            self._counted.append(np.arange(len(axes[axis])) < size[axis] + before + after)
        self.rows, self.columns = axes

    def windows(self, padded: NDArray[Any]) -> NDArray[Any]:
        """Every window's cells, `(..., outH, outW, kH, kW)`."""
        rows, columns = self.output_size
        return windows(padded, self.window)[..., :rows, :columns, :, :]

    def padded(self, image: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The padded image `(..., H', W')`, and which of its cells `(H', W')` are the image's own."""
        return gather(image, self.rows, self.columns), self.inside()

    def inside(self) -> NDArray[np.bool_]:
        """Which padded cells `(H', W')` are the image's own."""
        return np.outer(self.rows != NO_SOURCE, self.columns != NO_SOURCE)

    def counted(self, *, count_include_pad: bool) -> NDArray[np.bool_]:
        """Which padded cells `(H', W')` a mean counts: never those past the padding, which `ceil_mode` reaches."""
        if count_include_pad:
            return np.logical_and.outer(*self._counted)
        return self.inside()

    def divisors(self, *, count_include_pad: bool, divisor_override: int | None) -> NDArray[Any]:
        """By what every window's sum is divided, `(outH, outW)`."""
        if divisor_override is not None:
            if divisor_override == 0:
                raise ArithmeticSettingError("divisor_override is 0; use another number, or None for the window's size")
            return np.full(self.output_size, divisor_override)
        counted = self.counted(count_include_pad=count_include_pad)
        return np.asarray(self.windows(counted).sum(axis=(-2, -1)))


def tile(
    size: tuple[int, int],
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: int | tuple[int, int] | Sides = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Tiling:
    """Check a pooling's settings and lay its windows on an input of `size` (rows, columns)."""
    if isinstance(padding, str):
        raise ArithmeticSettingError(f"padding is {padding!r}; a pooling takes numbers")
    window = sliding(kernel_size, stride=kernel_size if stride is None else stride, padding=padding, dilation=dilation)
    for axis in (0, 1):
        half = window.kernel_size[axis] // 2
        if max(window.padding[axis]) > half:
            raise ArithmeticSettingError(
                f"padding is {window.padding[axis]}, more than half of the window's {window.kernel_size[axis]} cells, "
                f"so that a window could lie outside the input; use at most {half}"
            )
    rows, columns = (
        pooled_size(size[axis], window.kernel_size[axis], stride=window.stride[axis], padding=window.padding[axis],
                    dilation=window.dilation[axis], ceil_mode=ceil_mode)
        for axis in (0, 1)
    )  # fmt: skip
    return Tiling(size, window, (rows, columns))


def maxima(image: NDArray[Any], tiling: Tiling) -> NDArray[Any]:
    """The largest cell of every window, `(..., outH, outW)`."""
    padded, inside = tiling.padded(image)
    cells = tiling.windows(np.where(inside, padded, _lowest(image.dtype)))
    return np.asarray(cells.max(axis=(-2, -1)))


def means(image: NDArray[Any], tiling: Tiling, divisors: NDArray[Any]) -> NDArray[Any]:
    """The sum of every window divided by its divisor, `(..., outH, outW)`."""
    adding, giving = sum_dtypes(image)
    padded, _ = tiling.padded(image.astype(adding))
    with np.errstate(invalid="ignore"):  # a dilated window between whose taps the input slips through: 0 / 0 is NaN
        quotients = tiling.windows(padded).sum(axis=(-2, -1)) / divisors
    return np.asarray(quotients if giving.kind == "i" else quotients.astype(giving))


def _image(x: ArrayLike) -> NDArray[Any]:
    image = np.asarray(x)
    if image.ndim < 2:
        raise ArithmeticSettingError(f"x has shape {image.shape}; pooling needs rows and columns: (..., H, W)")
    return image


def _lowest(dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "f":
        return np.array(-np.inf, dtype)
    return np.array(False) if dtype.kind == "b" else np.array(np.iinfo(dtype).min, dtype)
