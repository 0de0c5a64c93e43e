"""Correlation, convolution and autocorrelation of signals (one axis) and images (two)."""

from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convlens.arithmetic.dtypes import sum_dtypes
from convlens.arithmetic.setting_error import ArithmeticSettingError
from convlens.errors import unknown_name

Mode = Literal["full", "same", "valid"]
MODES = ("full", "same", "valid")


def correlate(x: ArrayLike, kernel: ArrayLike, mode: Mode = "full") -> NDArray[Any]:
    """Slide `kernel` over `x`, multiply and add: `y[lag] = Σ x[lag + i] · conj(kernel[i])`.

    This is what a convolutional layer computes. In mode `full`, index 0 is the lag `1 − len(kernel)`.

    Args:
        x: a signal `(N,)` or an image `(H, W)`.
        kernel: as many axes as `x`.
        mode: `full` keeps every overlap (N + K − 1 cells), `same` the middle part of the size of `x`,
            `valid` only the positions where one lies wholly inside the other (|N − K| + 1 cells).

    Returns:
        The sums; int64 and exact for integers.

    Raises:
        ArithmeticSettingError: when the axes differ in number, one is empty, or in mode `valid` neither fits into the
            other.

    >>> correlate([1, 2, 3, 4], [1, 0, -1], "valid").tolist()
    [-2, -2]
    """
    flipped = np.flip(np.conj(np.asarray(kernel)))
    return convolve(x, flipped, mode)


def convolve(x: ArrayLike, kernel: ArrayLike, mode: Mode = "full") -> NDArray[Any]:
    """Flip `kernel`, slide it over `x`, multiply and add: `y[n] = Σ x[n − i] · kernel[i]`.

    Convolution is commutative; correlation is convolution with the flipped kernel. Arguments as in `correlate`.

    >>> convolve([1, 2, 3], [0, 1, 0.5]).tolist()
    [0.0, 1.0, 2.5, 4.0, 1.5]
    """
    signal, taps = _checked(x, kernel, mode)
    adding, giving = sum_dtypes(signal, taps)
    full = np.zeros([n + k - 1 for n, k in zip(signal.shape, taps.shape, strict=True)], adding)
    signal = signal.astype(adding)
    # Every tap adds a copy of the signal, scaled by the tap and moved to where the tap is.
    for tap in product(*map(range, taps.shape)):
        moved = tuple(slice(start, start + length) for start, length in zip(tap, signal.shape, strict=True))
        full[moved] += signal * taps[tap].astype(adding)
    return full[_kept(signal.shape, taps.shape, mode)].astype(giving)


def autocorrelate(x: ArrayLike, mode: Mode = "full") -> NDArray[Any]:
    """Correlate `x` with itself: how alike it is to a copy of itself moved by every lag.

    The value at lag 0, in the middle of mode `full`, is the energy `Σ |x|²`; no other is larger.

    >>> autocorrelate([1, 2, 3]).tolist()
    [3, 8, 14, 8, 3]
    """
    return correlate(x, x, mode)


def _kept(size: tuple[int, ...], kernel_size: tuple[int, ...], mode: Mode) -> tuple[slice, ...]:
    """Which part of the full result a mode keeps."""
    kept = []
    for n, k in zip(size, kernel_size, strict=True):
        start, length = {
            "full": (0, n + k - 1),
            "same": ((k - 1) // 2, n),
            "valid": (min(n, k) - 1, abs(n - k) + 1),
        }[mode]
        kept.append(slice(start, start + length))
    return tuple(kept)


def _checked(x: ArrayLike, kernel: ArrayLike, mode: Mode) -> tuple[NDArray[Any], NDArray[Any]]:
    signal, taps = np.asarray(x), np.asarray(kernel)
    if mode not in MODES:
        raise unknown_name("mode", mode, MODES)
    if signal.ndim != taps.ndim or signal.ndim not in (1, 2):
        raise ArithmeticSettingError(
            f"x has shape {signal.shape} and the kernel {taps.shape}; use two signals (N,) or two images (H, W)"
        )
    if 0 in signal.shape or 0 in taps.shape:
        raise ArithmeticSettingError(f"x has shape {signal.shape} and the kernel {taps.shape}; neither may be empty")
    larger = [n >= k for n, k in zip(signal.shape, taps.shape, strict=True)]
    smaller = [n <= k for n, k in zip(signal.shape, taps.shape, strict=True)]
    if mode == "valid" and not (all(larger) or all(smaller)):
        raise ArithmeticSettingError(
            f"neither {signal.shape} nor {taps.shape} fits into the other, as mode 'valid' needs; use 'full' or 'same'"
        )
    return signal, taps
