"""Walks: a convolution, a transposed convolution or a pooling, laid out window by window."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convlens.arithmetic.convolution import direct_sum, prepared
from convlens.arithmetic.dtypes import sum_dtypes
from convlens.arithmetic.geometry import dilated_extent
from convlens.arithmetic.padding import NO_SOURCE, Sides, gather, sources
from convlens.arithmetic.pooling import maxima, means, tile
from convlens.arithmetic.setting_error import ArithmeticSettingError
from convlens.arithmetic.sliding import Padding, Pair
from convlens.arithmetic.transposed import PreparedTransposed, conv_transpose2d, prepared_transposed
from convlens.arithmetic.walk import Walk
from convlens.errors import unknown_name

OPERATIONS = ("correlation", "convolution", "autocorrelation")
POOLINGS = ("max", "average")


def steps(
    x: ArrayLike,
    kernel: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    operation: str = "correlation",
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> Walk:
    """Lay a convolution out window by window.

    Args:
        x: one image `(C, H, W)` or one channel `(H, W)`.
        kernel: `(O, C / groups, kH, kW)`, or `(kH, kW)`; left out for an autocorrelation, whose kernel is `x`.
        bias: `(O,)`, or one number.
        operation: `correlation` (what layers compute), `convolution` (the kernel is flipped first) or
            `autocorrelation` (usually with padding `"full"`).
        stride: as in `conv2d`, like all the rest.
        padding: `"full"` lets the kernel overlap the input by a single cell.
        dilation: cells between taps.
        groups: groups of channels.
        padding_mode: `zeros`, `reflect`, `replicate` or `circular`.

    Returns:
        A sequence of `Step`; `.output` is the whole result, `.to_dict()` is ready for JSON.

    Raises:
        ArithmeticSettingError: when shapes or settings do not fit together.

    >>> walk = steps([[1, 2, 3], [4, 5, 6]], [[1, 0], [0, -1]], 10)
    >>> len(walk), walk[0].written(), walk.output.tolist()
    (2, '1·1 + 2·0 + 4·0 + 5·(-1) + 10 = 6', [[6, 6]])
    """
    taps = _kernel(x, kernel, operation)
    layer = prepared(x, taps, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)
    image = _one_image(x)
    adding, giving = sum_dtypes(layer.x, layer.weight, *layer.biases)
    (top, bottom), (left, right) = layer.window.padding
    rows = sources(image.shape[-2], top, bottom, padding_mode)
    columns = sources(image.shape[-1], left, right, padding_mode)
    applied = (layer.weight[..., ::-1, ::-1] if operation == "convolution" else layer.weight).astype(adding)
    padded = gather(layer.x.astype(adding), rows, columns)
    output = layer.finished(direct_sum(padded, applied, layer.window, groups), giving)
    return Walk(
        operation=operation,
        x=image,
        padded=padded.reshape(*image.shape[:-2], len(rows), len(columns)),
        source_rows=rows,
        source_columns=columns,
        kernel_size=layer.window.kernel_size,
        stride=layer.window.stride,
        dilation=layer.window.dilation,
        padding=layer.window.padding,
        output=output,
        kernel=taps,
        applied_kernel=applied,
        bias=layer.bias,
        groups=groups,
    )


def transposed_steps(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Pair = 1,
    padding: int | tuple[int, int] | Sides = 0,
    output_padding: Pair = 0,
    groups: int = 1,
    dilation: Pair = 1,
) -> Walk:
    """Lay a transposed convolution out window by window, as seen from its output.

    It is a convolution of the stretched input: `stride − 1` zeros between the cells, and around them as many as let the
    flipped kernel reach every output cell. The walk's `padded` is that stretched input, its `stride` is 1, and its
    `padding` may be negative where cells are cut off. Arguments as in `conv_transpose2d`.

    >>> walk = transposed_steps([[1, 2]], [[1, 1, 1]], stride=2)
    >>> walk.padded.tolist(), walk.output.tolist()
    ([[0, 0, 1, 0, 2, 0, 0]], [[1, 1, 3, 2, 2]])
    """
    image, taps = _one_image(x), np.asarray(kernel)
    layer = prepared_transposed(
        x, taps, bias, stride=stride, padding=padding, output_padding=output_padding, groups=groups, dilation=dilation
    )
    arrays = [layer.x, layer.weight] + ([] if layer.bias is None else [layer.bias])
    adding, _ = sum_dtypes(*arrays)
    rows, columns = (_stretched(layer, axis) for axis in (0, 1))
    padded = gather(layer.x.astype(adding), rows, columns)
    window = layer.window
    return Walk(
        operation="transposed",
        x=image,
        padded=padded.reshape(*image.shape[:-2], len(rows), len(columns)),
        source_rows=rows,
        source_columns=columns,
        kernel_size=window.kernel_size,
        stride=(1, 1),
        dilation=window.dilation,
        padding=(_around(layer, 0, len(rows)), _around(layer, 1, len(columns))),
        output=conv_transpose2d(
            x, taps, bias, stride=stride, padding=padding, output_padding=output_padding, groups=groups,
            dilation=dilation,
        ),
        kernel=taps,
        applied_kernel=_turned(layer).astype(adding),
        bias=layer.bias,
        groups=groups,
    )  # fmt: skip


def _stretched(layer: PreparedTransposed, axis: int) -> NDArray[np.intp]:
    """For every cell that the flipped kernel reads along an axis, the input cell that it copies."""
    extent = dilated_extent(layer.window.kernel_size[axis], layer.window.dilation[axis])
    stride, before = layer.window.stride[axis], layer.window.padding[axis][0]
    place = np.arange(layer.output_size[axis] + extent - 1) - (extent - 1 - before)
    source, between = np.divmod(place, stride)
    copied = (between == 0) & (source >= 0) & (source < layer.x.shape[2 + axis])
    return np.where(copied, source, NO_SOURCE)


def _around(layer: PreparedTransposed, axis: int, length: int) -> tuple[int, int]:
    """Zeros before and after the stretched input; negative where it is cut."""
    extent = dilated_extent(layer.window.kernel_size[axis], layer.window.dilation[axis])
    before = extent - 1 - layer.window.padding[axis][0]
    stretched = (layer.x.shape[2 + axis] - 1) * layer.window.stride[axis] + 1
    return before, length - before - stretched


def _turned(layer: PreparedTransposed) -> NDArray[Any]:
    """The kernels with input and output channels swapped, `(O, C / groups, kH, kW)`, and flipped."""
    channels, kernels, rows, columns = layer.weight.shape
    grouped = layer.weight.reshape(layer.groups, channels // layer.groups, kernels, rows, columns)
    turned = grouped.swapaxes(1, 2).reshape(layer.groups * kernels, channels // layer.groups, rows, columns)
    return turned[..., ::-1, ::-1]


def pool_steps(
    x: ArrayLike,
    kernel_size: Pair,
    *,
    operation: str = "max",
    stride: Pair | None = None,
    padding: int | tuple[int, int] | Sides = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Walk:
    """Lay a pooling out window by window; `operation` is `max` or `average`, the rest as in `avg_pool2d`.

    >>> walk = pool_steps([[2, -4, 2, 2], [0, 1, 0, -1]], 2)
    >>> walk[0].written(), walk[0].chosen
    ('max(2, -4, 0, 1) = 2', (0, 0))
    """
    if operation not in POOLINGS:
        raise unknown_name("pooling", operation, POOLINGS)
    image = _one_image(x)
    tiling = tile(image.shape[-2:], kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)
    padded, inside = tiling.padded(image)
    counted: NDArray[np.bool_] = inside
    divisors = None
    if operation == "average":
        counted = tiling.counted(count_include_pad=count_include_pad)
        divisors = tiling.divisors(count_include_pad=count_include_pad, divisor_override=divisor_override)
    output = maxima(image, tiling) if divisors is None else means(image, tiling, divisors)
    return Walk(
        operation=operation,
        x=image,
        padded=padded,
        source_rows=tiling.rows,
        source_columns=tiling.columns,
        kernel_size=tiling.window.kernel_size,
        stride=tiling.window.stride,
        dilation=tiling.window.dilation,
        padding=tiling.window.padding,
        output=output,
        counted=counted,
        divisors=divisors,
    )


def _kernel(x: ArrayLike, kernel: ArrayLike | None, operation: str) -> NDArray[Any]:
    if operation not in OPERATIONS:
        raise unknown_name("operation", operation, OPERATIONS)
    if operation != "autocorrelation":
        if kernel is None:
            raise ArithmeticSettingError(f"a {operation} needs a kernel; only an autocorrelation goes without")
        return np.asarray(kernel)
    if kernel is not None:
        raise ArithmeticSettingError("an autocorrelation takes no kernel: the kernel is the input itself")
    image = np.asarray(x)
    return image if image.ndim == 2 else image[None]


def _one_image(x: ArrayLike) -> NDArray[Any]:
    image = np.asarray(x)
    if image.ndim not in (2, 3):
        raise ArithmeticSettingError(f"x has shape {image.shape}; steps walk over one image: (C, H, W) or (H, W)")
    return image
