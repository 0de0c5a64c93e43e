"""Two signals, one slid over the other: every lag with what overlaps and its sum."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convlens.arithmetic.setting_error import ArithmeticSettingError
from convlens.arithmetic.signals import convolve, correlate
from convlens.arithmetic.stepping import OPERATIONS
from convlens.arithmetic.walk import plain
from convlens.errors import unknown_name


@dataclass(frozen=True, kw_only=True, eq=False)
class Lag:
    """One place of the sliding signal.

    Attributes:
        index: place in the result of mode `full`.
        first: index of `x` at which the sliding signal begins; negative when it sticks out in front.
        overlap: (first, one past the last) index of `x` that it covers.
        products: the products under it, one for each covered index.
        sum: their sum, one number of the result.
    """

    index: int
    first: int
    overlap: tuple[int, int]
    products: NDArray[Any]
    sum: Any

    def to_dict(self) -> dict[str, Any]:
        """Everything as numbers and lists, ready for JSON."""
        return {name: plain(value) for name, value in vars(self).items()}


@dataclass(frozen=True, kw_only=True, eq=False)
class Slide(Sequence[Lag]):
    """All the lags of two signals, from the first overlap to the last.

    Attributes:
        operation: correlation, convolution or autocorrelation.
        x: the signal that stays, `(N,)`.
        sliding: the signal that slides, as it lies on `x`: flipped for a convolution, `(K,)`.
        output: the result of mode `full`, `(N + K − 1,)`.
    """

    operation: str
    x: NDArray[Any]
    sliding: NDArray[Any]
    output: NDArray[Any]

    def __len__(self) -> int:
        return len(self.output)

    def __iter__(self) -> Iterator[Lag]:
        return (self._lag(index) for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Lag: ...
    @overload
    def __getitem__(self, index: slice) -> list[Lag]: ...
    def __getitem__(self, index: int | slice) -> Lag | list[Lag]:
        if isinstance(index, slice):
            return [self._lag(each) for each in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"lag {index} of {len(self)}")
        return self._lag(index % len(self))

    def to_dict(self) -> dict[str, Any]:
        """Everything as numbers and lists, ready for JSON."""
        return {name: plain(value) for name, value in vars(self).items()} | {"lags": [lag.to_dict() for lag in self]}

    def _lag(self, index: int) -> Lag:
        first = index - len(self.sliding) + 1
        start, end = max(first, 0), min(first + len(self.sliding), len(self.x))
        products = self.x[start:end] * self.sliding[start - first : end - first]
        return Lag(index=index, first=first, overlap=(start, end), products=products, sum=self.output[index])


def lags(x: ArrayLike, kernel: ArrayLike | None = None, *, operation: str = "correlation") -> Slide:
    """Lay the correlation, convolution or autocorrelation of real signals out lag by lag.

    Args:
        x: the signal that stays, `(N,)`.
        kernel: the signal that slides, `(K,)`; left out for an autocorrelation.
        operation: `correlation`, `convolution` or `autocorrelation`.

    Raises:
        ArithmeticSettingError: when a signal is not one axis of real numbers, or the kernel is missing or too many.

    >>> slide = lags([1, 2, 3], [0, 1], operation="convolution")
    >>> slide.output.tolist(), slide[1].first, slide[1].products.tolist()
    ([0, 1, 2, 3], 0, [1, 0])
    """
    if operation not in OPERATIONS:
        raise unknown_name("operation", operation, OPERATIONS)
    if (kernel is None) != (operation == "autocorrelation"):
        needed = "a kernel" if kernel is None else "no kernel: it slides the signal itself"
        raise ArithmeticSettingError(f"operation is {operation!r}, which takes {needed}")
    signal = np.asarray(x)
    taps = signal if kernel is None else np.asarray(kernel)
    if signal.ndim != 1 or taps.ndim != 1 or {signal.dtype.kind, taps.dtype.kind} - set("biuf"):
        raise ArithmeticSettingError(
            f"the signals have shapes {signal.shape} and {taps.shape}; use one axis of real numbers each"
        )
    compute = convolve if operation == "convolution" else correlate
    output = compute(signal, taps)
    sliding = taps[::-1] if operation == "convolution" else taps
    return Slide(
        operation=operation, x=signal.astype(output.dtype), sliding=sliding.astype(output.dtype), output=output
    )
