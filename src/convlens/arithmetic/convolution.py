"""The convolutional layer, as a direct sum."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from convlens.arithmetic.dtypes import sum_dtypes
from convlens.arithmetic.padding import pad
from convlens.arithmetic.setting_error import ArithmeticSettingError
from convlens.arithmetic.sliding import Padding, Pair, Sliding, sliding


def conv2d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    dtype: DTypeLike | None = None,
) -> NDArray[Any]:
    """Compute what `torch.nn.Conv2d` computes: a correlation, summed over channels, plus a bias.

    `y[o, r, c] = bias[o] + Σ weight[o, i, u, v] · padded[i, r · stride + u · dilation, c · stride + v · dilation]`

    Args:
        x: `(N, C, H, W)`, one image `(C, H, W)`, or one channel `(H, W)`.
        weight: `(O, C / groups, kH, kW)`; for one channel `(kH, kW)`.
        bias: `(O,)`; one number for one channel.
        stride: a number or (rows, columns).
        padding: a number, (rows, columns), ((top, bottom), (left, right)), `"valid"`, `"same"` or `"full"`.
        dilation: a number or (rows, columns).
        groups: the channels fall into this many groups, each with its own share of the kernels.
        padding_mode: `zeros`, `reflect`, `replicate` or `circular`.
        dtype: in which to add up; by default int64 for integers (exact), else what NumPy promotes the arguments to.

    Returns:
        `(N, O, outH, outW)`, without the axes that `x` lacks.

    Raises:
        ArithmeticSettingError: when shapes or settings do not fit together.

    >>> conv2d([[1, 2, 3], [4, 5, 6]], [[1, 0], [0, -1]]).tolist()
    [[-4, -4]]
    """
    layer = prepared(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)
    adding, giving = sum_dtypes(layer.x, layer.weight, *layer.biases, dtype=dtype)
    padded = pad(layer.x.astype(adding), layer.window.padding, padding_mode=padding_mode)
    y = direct_sum(padded, layer.weight.astype(adding), layer.window, groups)
    return layer.finished(y, giving)


def direct_sum(padded_NCHW: NDArray[Any], weight_OIHW: NDArray[Any], window: Sliding, groups: int = 1) -> NDArray[Any]:
    """Add up kH · kW shifted copies of the padded input, each mixed over channels by one tap of the kernels."""
    batch, channels, height, width = padded_NCHW.shape
    kernels = len(weight_OIHW)
    rows, columns = Sliding(
        kernel_size=window.kernel_size, stride=window.stride, dilation=window.dilation, padding=((0, 0), (0, 0))
    ).output_size((height, width))
    per_group = weight_OIHW.reshape(groups, kernels // groups, channels // groups, *window.kernel_size)
    y = np.zeros((batch, groups, kernels // groups, rows * columns), padded_NCHW.dtype)
    for u in range(window.kernel_size[0]):
        for v in range(window.kernel_size[1]):
            shifted = padded_NCHW[:, :, _tap(u, 0, rows, window), _tap(v, 1, columns, window)]
            y += per_group[..., u, v] @ shifted.reshape(batch, groups, channels // groups, rows * columns)
    return y.reshape(batch, kernels, rows, columns)


def _tap(tap: int, axis: int, cells: int, window: Sliding) -> slice:
    """The padded cells that one tap reads as the window takes all its positions along an axis."""
    start, stride = tap * window.dilation[axis], window.stride[axis]
    return slice(start, start + (cells - 1) * stride + 1, stride)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A layer's arguments with all axes present: x `(N, C, H, W)`, weight `(O, C / groups, kH, kW)`, bias `(O,)`."""

    x: NDArray[Any]
    weight: NDArray[Any]
    bias: NDArray[Any] | None
    window: Sliding
    missing_axes: int

    @property
    def biases(self) -> tuple[NDArray[Any], ...]:
        """The bias, if there is one."""
        return () if self.bias is None else (self.bias,)

    def finished(self, y_NOHW: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Add the bias, drop the axes that `x` lacked, and round once to `dtype`."""
        if self.bias is not None:
            y_NOHW = y_NOHW + self.bias.astype(y_NOHW.dtype)[:, None, None]
        return y_NOHW.reshape(y_NOHW.shape[self.missing_axes :]).astype(dtype)


def prepared(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Prepared:
    """Check a convolution's arguments against each other and add the axes that are missing."""
    image, kernels, missing_axes = with_all_axes(x, weight, "O, C")
    _check_groups(image.shape[1], kernels.shape, groups)
    window = sliding(kernels.shape[2:], stride=stride, padding=padding, dilation=dilation)
    window.output_size(image.shape[2:])
    return Prepared(
        x=image, weight=kernels, bias=checked_bias(bias, len(kernels)), window=window, missing_axes=missing_axes
    )


def with_all_axes(x: ArrayLike, weight: ArrayLike, channels: str) -> tuple[NDArray[Any], NDArray[Any], int]:
    """The image as (N, C, H, W), the kernels with four axes, and how many axes the image lacked.

    Raises:
        ArithmeticSettingError: other shapes; `channels` are the first two axes of the kernels in its message.
    """
    image, kernels = np.asarray(x), np.asarray(weight)
    if image.ndim == 2 and kernels.ndim == 2:
        kernels = kernels[None, None]
    if image.ndim not in (2, 3, 4) or kernels.ndim != 4 or (image.ndim == 2 and kernels.shape[:2] != (1, 1)):
        raise ArithmeticSettingError(
            f"x has shape {image.shape} and weight {np.shape(weight)}; use (N, C, H, W) or (C, H, W) with "
            f"({channels}, kH, kW), or (H, W) with (kH, kW)"
        )
    missing_axes = 4 - image.ndim
    return image.reshape((1,) * missing_axes + image.shape), kernels, missing_axes


def _check_groups(channels: int, kernels: tuple[int, ...], groups: int) -> None:
    if not isinstance(groups, int | np.integer) or groups < 1 or channels % groups or kernels[0] % groups:
        raise ArithmeticSettingError(
            f"groups is {groups!r}; use a number that divides the {channels} input and the {kernels[0]} output channels"
        )
    if kernels[1] != channels // groups:
        raise ArithmeticSettingError(
            f"weight has shape {kernels}, so it reads {kernels[1]} channels, but x has {channels} in {groups} "
            f"group{'s' if groups > 1 else ''}; use weight of shape ({kernels[0]}, {channels // groups}, "
            f"{kernels[2]}, {kernels[3]})"
        )


def checked_bias(bias: ArrayLike | None, kernels: int) -> NDArray[Any] | None:
    """The bias as `(O,)`, or None."""
    if bias is None:
        return None
    given = np.asarray(bias)
    if given.shape == () and kernels == 1:
        return given.reshape(1)
    if given.shape != (kernels,):
        raise ArithmeticSettingError(f"bias has shape {given.shape}; use one number for each of the {kernels} kernels")
    return given
