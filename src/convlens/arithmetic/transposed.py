"""The transposed convolution: every input cell stamps the kernel onto the output."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from convlens.arithmetic.convolution import checked_bias, with_all_axes
from convlens.arithmetic.dtypes import sum_dtypes
from convlens.arithmetic.geometry import dilated_extent, transposed_size
from convlens.arithmetic.padding import Sides
from convlens.arithmetic.setting_error import ArithmeticSettingError
from convlens.arithmetic.sliding import Pair, Sliding, pair, sliding


def conv_transpose2d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Pair = 1,
    padding: int | tuple[int, int] | Sides = 0,
    output_padding: Pair = 0,
    groups: int = 1,
    dilation: Pair = 1,
    dtype: DTypeLike | None = None,
) -> NDArray[Any]:
    """Compute what `torch.nn.ConvTranspose2d` computes: the gradient of `conv2d` with respect to its input.

    Every cell `x[i, r, c]` adds `x[i, r, c] · weight[i, o, u, v]` to the output cell
    `(r · stride + u · dilation − top, c · stride + v · dilation − left)`; what falls outside is lost.

    Args:
        x: `(N, C, H, W)`, one image `(C, H, W)`, or one channel `(H, W)`.
        weight: `(C, O / groups, kH, kW)`; for one channel `(kH, kW)`.
        bias: `(O,)`; one number for one channel.
        stride: output cells between the stamps of neighbouring input cells.
        padding: cells that are cut off the output: a number, (rows, columns) or ((top, bottom), (left, right)).
        output_padding: cells that are added at the bottom and on the right, fewer than stride or dilation; a strided
            convolution gives the same size for several input sizes, and this number says which one is meant.
        groups: as in `conv2d`.
        dilation: cells between taps.
        dtype: in which to add up, as in `conv2d`.

    Returns:
        `(N, O, outH, outW)`, without the axes that `x` lacks.

    Raises:
        ArithmeticSettingError: when shapes or settings do not fit together.

    >>> conv_transpose2d([[1, 2]], [[1, 1, 1]], stride=2).tolist()
    [[1, 1, 3, 2, 2]]
    """
    layer = prepared_transposed(
        x, weight, bias, stride=stride, padding=padding, output_padding=output_padding, groups=groups, dilation=dilation
    )
    arrays = [layer.x, layer.weight] + ([] if layer.bias is None else [layer.bias])
    adding, giving = sum_dtypes(*arrays, dtype=dtype)
    y = _stamped(layer, adding)
    if layer.bias is not None:
        y = y + layer.bias.astype(adding)[:, None, None]
    return y.reshape(y.shape[layer.missing_axes :]).astype(giving)


def _stamped(layer: "PreparedTransposed", dtype: np.dtype[Any]) -> NDArray[Any]:
    batch, channels, height, width = layer.x.shape
    groups, window = layer.groups, layer.window
    kernels = layer.weight.shape[1] * groups
    (top, _), (left, _) = window.padding
    rows, columns = layer.output_size
    extent = [dilated_extent(k, d) for k, d in zip(window.kernel_size, window.dilation, strict=True)]
    # Wide enough for every stamp and for the output padding, which may lie beyond the last stamp.
    canvas = np.zeros(
        (
            batch,
            kernels,
            max(top + rows, (height - 1) * window.stride[0] + extent[0]),
            max(left + columns, (width - 1) * window.stride[1] + extent[1]),
        ),
        dtype,
    )
    cells = layer.x.astype(dtype).reshape(batch, groups, channels // groups, height * width)
    taps = layer.weight.astype(dtype).reshape(groups, channels // groups, kernels // groups, *window.kernel_size)
    for u in range(window.kernel_size[0]):
        for v in range(window.kernel_size[1]):
            stamp = np.swapaxes(taps[..., u, v], 1, 2) @ cells
            where = _reached(u, height, 0, window), _reached(v, width, 1, window)
            canvas[:, :, where[0], where[1]] += stamp.reshape(batch, kernels, height, width)
    return canvas[:, :, top : top + rows, left : left + columns]


def _reached(tap: int, cells: int, axis: int, window: Sliding) -> slice:
    """The output cells, before cutting, to which one tap carries the input cells of an axis."""
    start, stride = tap * window.dilation[axis], window.stride[axis]
    return slice(start, start + (cells - 1) * stride + 1, stride)


@dataclass(frozen=True, kw_only=True)
class PreparedTransposed:
    """A transposed layer's arguments with all axes present: x `(N, C, H, W)`, weight `(C, O / groups, kH, kW)`."""

    x: NDArray[Any]
    weight: NDArray[Any]
    bias: NDArray[Any] | None
    window: Sliding
    output_size: tuple[int, int]
    groups: int
    missing_axes: int


def prepared_transposed(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Pair = 1,
    padding: int | tuple[int, int] | Sides = 0,
    output_padding: Pair = 0,
    groups: int = 1,
    dilation: Pair = 1,
) -> PreparedTransposed:
    """Check a transposed convolution's arguments against each other and add the axes that are missing."""
    image, kernels, missing_axes = with_all_axes(x, weight, "C, O")
    _check_channels(image.shape[1], kernels.shape, groups)
    if isinstance(padding, str):
        raise ArithmeticSettingError(f"padding is {padding!r}; a transposed convolution takes numbers")
    window = sliding(kernels.shape[2:], stride=stride, padding=padding, dilation=dilation)
    extra = _checked_output_padding(output_padding, window)
    rows, columns = (
        transposed_size(
            image.shape[2 + axis], window.kernel_size[axis], stride=window.stride[axis], padding=window.padding[axis],
            output_padding=extra[axis], dilation=window.dilation[axis],
        )
        for axis in (0, 1)
    )  # fmt: skip
    return PreparedTransposed(
        x=image,
        weight=kernels,
        bias=checked_bias(bias, kernels.shape[1] * groups),
        window=window,
        output_size=(rows, columns),
        groups=groups,
        missing_axes=missing_axes,
    )


def _checked_output_padding(output_padding: Pair, window: Sliding) -> tuple[int, int]:
    extra = pair("output_padding", output_padding, at_least=0)
    for axis in (0, 1):
        if extra[axis] >= max(window.stride[axis], window.dilation[axis]):
            raise ArithmeticSettingError(
                f"output_padding is {output_padding!r}, which must be below the stride {window.stride} or the dilation "
                f"{window.dilation}; use a smaller one"
            )
    return extra


def _check_channels(channels: int, kernels: tuple[int, ...], groups: int) -> None:
    if not isinstance(groups, int | np.integer) or groups < 1 or channels % groups:
        raise ArithmeticSettingError(f"groups is {groups!r}; use a number that divides the {channels} input channels")
    if kernels[0] != channels:
        raise ArithmeticSettingError(
            f"weight has shape {kernels}, so it reads {kernels[0]} channels, but x has {channels}; "
            f"use weight of shape ({channels}, O / groups, {kernels[2]}, {kernels[3]})"
        )
