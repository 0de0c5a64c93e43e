"""The same convolution by other routes: each gives what `conv2d` gives, with other costs and other rounding.

`x` is `(N, C, H, W)` everywhere here and `weight` `(O, C, kH, kW)`, for groups = 1. Floats keep their dtype. Integers
come out as int64 from the direct sum and `im2col`, exact, and as float64 from the routes that pass through fractions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.arithmetic.convolution import conv2d
from convlens.arithmetic.dtypes import sum_dtypes
from convlens.arithmetic.padding import pad
from convlens.arithmetic.setting_error import ArithmeticSettingError
from convlens.arithmetic.sliding import Padding, Pair, sliding, windows

Array = NDArray[Any]


def im2col(x_NCHW: Array, weight_OIHW: Array, *, stride: Pair = 1, padding: Padding = 0, dilation: Pair = 1) -> Array:
    """Copy every window into a row of a matrix, and multiply it by the matrix of kernels.

    As many multiplications as the direct sum, but in one matrix product, the operation that libraries do best. The
    price is memory: every input cell is copied up to kH · kW times. (Chellapilla, Puri, Simard 2006, section 3.)

    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> im2col(x, np.ones((1, 1, 2, 2))).tolist()
    [[[[8.0, 12.0], [20.0, 24.0]]]]
    """
    window = sliding(weight_OIHW.shape[2:], stride=stride, padding=padding, dilation=dilation)
    adding, giving = sum_dtypes(x_NCHW, weight_OIHW)
    patches = windows(pad(x_NCHW.astype(adding), window.padding), window)
    batch, _, rows, columns = patches.shape[:4]
    matrix = patches.transpose(0, 2, 3, 1, 4, 5).reshape(batch * rows * columns, -1)
    product = matrix @ weight_OIHW.astype(adding).reshape(len(weight_OIHW), -1).T
    return np.asarray(product.reshape(batch, rows, columns, -1).transpose(0, 3, 1, 2).astype(giving))


def fft(x_NCHW: Array, weight_OIHW: Array, *, stride: Pair = 1, padding: Padding = 0, dilation: Pair = 1) -> Array:
    """Multiply spectra: a correlation is the product of one spectrum with the conjugate of the other.

    The cost per output cell grows with the logarithm of the image, not with the kernel, so it pays for large kernels.
    The spectra are as large as the padded image, and a stride saves nothing: all positions are computed, then dropped.
    (Mathieu, Henaff, LeCun 2013, section 2.)

    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> fft(x, np.ones((1, 1, 2, 2))).round(12).tolist()
    [[[[8.0, 12.0], [20.0, 24.0]]]]
    """
    window = sliding(weight_OIHW.shape[2:], stride=stride, padding=padding, dilation=dilation)
    padded = pad(x_NCHW, window.padding)
    size = padded.shape[2:]
    rows, columns = window.output_size(x_NCHW.shape[2:])
    spread = np.zeros((*weight_OIHW.shape[:2], *size), weight_OIHW.dtype)
    reach = tuple(slice(0, d * (k - 1) + 1, d) for k, d in zip(window.kernel_size, window.dilation, strict=True))
    spread[:, :, reach[0], reach[1]] = weight_OIHW
    images, kernels = np.fft.rfft2(padded), np.fft.rfft2(spread)
    # Sum over channels, at every frequency: one matrix product each.
    product = np.einsum("nchw,ochw->nohw", images, kernels.conj(), optimize=True)
    # Windows that would go round the edge of the circular correlation come last; they are not kept.
    everywhere = np.fft.irfft2(product, s=size)
    kept = everywhere[:, :, :: window.stride[0], :: window.stride[1]][:, :, :rows, :columns]
    return np.asarray(kept.astype(_float_dtype(x_NCHW, weight_OIHW)))


@dataclass(frozen=True, kw_only=True)
class Transforms:
    """Winograd's matrices for one axis (Lavin and Gray 2016, section 4): `y = Aᵀ [(G g) ⊙ (Bᵀ d)]`.

    Attributes:
        input: Bᵀ, `(tile, tile)`, from a tile of the input.
        kernel: G, `(tile, 3)`, from three taps.
        output: Aᵀ, `(cells, tile)`, to the output cells.
    """

    input: Array
    kernel: Array
    output: Array


F2 = Transforms(
    input=np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]),
    kernel=np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]),
    output=np.array([[1, 1, 1, 0], [0, 1, -1, -1]]),
)

F4 = Transforms(
    input=np.array(
        [
            [4, 0, -5, 0, 1, 0],
            [0, -4, -4, 1, 1, 0],
            [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ]
    ),
    kernel=np.array(
        [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]],
    )
    / 24,
    output=np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]),
)


def winograd2(x_NCHW: Array, weight_OIHW: Array, *, padding: Padding = 0) -> Array:
    """F(2×2, 3×3): four output cells from a 4×4 tile with 16 multiplications instead of 36.

    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> winograd2(x, np.ones((1, 1, 3, 3))).tolist()
    [[[[36.0]]]]
    """
    return _winograd(x_NCHW, weight_OIHW, F2, padding)


def winograd4(x_NCHW: Array, weight_OIHW: Array, *, padding: Padding = 0) -> Array:
    """F(4×4, 3×3): sixteen output cells from a 6×6 tile with 36 multiplications instead of 144.

    The transforms multiply by up to 8 and divide by up to 24, and that costs about a decimal digit.

    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> winograd4(x, np.ones((1, 1, 3, 3))).round(12).tolist()
    [[[[36.0]]]]
    """
    return _winograd(x_NCHW, weight_OIHW, F4, padding)


def _winograd(x_NCHW: Array, weight_OIHW: Array, transforms: Transforms, padding: Padding) -> Array:
    if weight_OIHW.shape[2:] != (3, 3):
        raise ArithmeticSettingError(
            f"the kernel is {weight_OIHW.shape[2]}×{weight_OIHW.shape[3]}; this route is for 3×3, use im2col or fft"
        )
    dtype = _float_dtype(x_NCHW, weight_OIHW)
    to_tile, to_taps, to_output = (
        matrix.astype(dtype) for matrix in (transforms.input, transforms.kernel, transforms.output)
    )
    cells, tile = to_output.shape
    window = sliding((3, 3), padding=padding)
    rows, columns = window.output_size(x_NCHW.shape[2:])
    missing_rows, missing_columns = -rows % cells, -columns % cells
    padded = pad(pad(x_NCHW, window.padding), ((0, missing_rows), (0, missing_columns))).astype(dtype)
    tiles_NCPQ = windows(padded, sliding(tile, stride=cells))
    tiles = to_tile @ tiles_NCPQ @ to_tile.T
    taps = to_taps @ weight_OIHW.astype(dtype) @ to_taps.T
    # At each of the tile · tile places: sum over channels, one matrix product.
    product = np.einsum("ncpqij,ocij->nopqij", tiles, taps, optimize=True)
    y = to_output @ product @ to_output.T
    batch, kernels, across, along = y.shape[:4]
    joined = y.transpose(0, 1, 2, 4, 3, 5).reshape(batch, kernels, across * cells, along * cells)
    return np.asarray(joined[:, :, :rows, :columns])


def _float_dtype(*arrays: Array) -> np.dtype[Any]:
    """The dtype of a route that passes through fractions: floats keep theirs, integers become float64."""
    _, giving = sum_dtypes(*arrays)
    return np.dtype(np.float64) if giving.kind == "i" else giving


def depthwise_separable(weight_OIHW: Array) -> tuple[Array, Array]:
    """The depthwise and the pointwise kernels whose product is nearest to `weight`.

    For every input channel the kernels of all output channels form a matrix (O × kH · kW); a depthwise-separable layer
    can only hold a matrix of rank 1 there, and the singular value decomposition gives the nearest one (Eckart and Young
    1936). It is an approximation: kH · kW · C + C · O numbers in place of kH · kW · C · O.

    Returns:
        Depthwise kernels `(C, 1, kH, kW)` and pointwise kernels `(O, C, 1, 1)`.

    >>> weight = np.arange(2.0)[:, None, None, None] * np.ones((2, 3, 3, 3))
    >>> depthwise, pointwise = depthwise_separable(weight)
    >>> bool(np.allclose(pointwise * depthwise[None, :, 0], weight))
    True
    """
    kernels, channels, rows, columns = weight_OIHW.shape
    per_channel = weight_OIHW.transpose(1, 0, 2, 3).reshape(channels, kernels, rows * columns)
    adding, _ = sum_dtypes(weight_OIHW)  # the decomposition knows no half precision
    left, scale, right = np.linalg.svd(per_channel.astype(adding), full_matrices=False)
    depthwise = right[:, 0].reshape(channels, 1, rows, columns)
    pointwise = (left[:, :, 0] * scale[:, :1]).T.reshape(kernels, channels, 1, 1)
    dtype = _float_dtype(weight_OIHW)
    return depthwise.astype(dtype), pointwise.astype(dtype)


def separable(
    x_NCHW: Array, weight_OIHW: Array, *, stride: Pair = 1, padding: Padding = 0, dilation: Pair = 1
) -> Array:
    """Convolve with the nearest depthwise-separable kernels: each channel by itself, then a mix of channels.

    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> separable(x, np.ones((1, 1, 2, 2))).round(12).tolist()
    [[[[8.0, 12.0], [20.0, 24.0]]]]
    """
    depthwise, pointwise = depthwise_separable(weight_OIHW)
    channels = x_NCHW.shape[1]
    each = conv2d(x_NCHW, depthwise, stride=stride, padding=padding, dilation=dilation, groups=channels)
    return conv2d(each, pointwise)


# What the documentation and the benchmark compare; all but `separable` give the same numbers up to rounding.
ROUTES: dict[str, Callable[..., Array]] = {
    "direct": conv2d,
    "im2col": im2col,
    "fft": fft,
    "winograd2": winograd2,
    "winograd4": winograd4,
    "separable": separable,
}


def multiplications(
    route: str, in_channels: int, out_channels: int, kernel_size: tuple[int, int], output: tuple[int, int]
) -> float:
    """Multiplications that a route needs for one image, stride 1, whole tiles; those by Winograd's constants apart.

    A complex multiplication counts as four, and the FFT of M real numbers as M · log₂ M.

    >>> routes = ("direct", "winograd2", "winograd4")
    >>> [round(multiplications(route, 64, 64, (3, 3), (56, 56)) / 1e6) for route in routes]
    [116, 51, 29]
    """
    rows, columns = output
    cells, taps = rows * columns, kernel_size[0] * kernel_size[1]
    pairs = in_channels * out_channels
    if route == "fft":
        size = (rows + kernel_size[0] - 1) * (columns + kernel_size[1] - 1)
        transforms = (in_channels + out_channels) * size * np.log2(size)
        return float(transforms + 4 * pairs * size / 2)
    per_cell = {
        "direct": pairs * taps,
        "im2col": pairs * taps,
        "winograd2": pairs * 16 / 4,
        "winograd4": pairs * 36 / 16,
        "separable": in_channels * taps + pairs,
    }
    return per_cell[route] * cells
