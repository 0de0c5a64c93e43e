"""Which positions along one axis an output position reads: windows, strides, padding, enlarging, as index functions.

Every operation along an axis is a function from output positions o to the positions that reach them. It is asked in two
ways: *bounded*, where only positions that exist count and borders are folded (reflection) or wrapped (circular), and
*free*, on an axis without ends, where it gives the regular pattern: after `outputs` more outputs it reads `inputs`
positions further on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]  # (outputs, taps)
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Taps:
    """Positions read by each output position along one axis.

    Attributes:
        length: how many positions the axis has.
        outputs: how many output positions there are.
        read: (output positions, bounded) → positions and whether each counts; a row is one output position.
        period: pair (outputs, inputs) of the free pattern; None where there is none.
    """

    length: int
    outputs: int
    read: Callable[[Positions, bool], tuple[Positions, Mask]]
    period: tuple[int, int] | None

    def bounded(self) -> tuple[Positions, Mask]:
        """Positions for all outputs, those that do not exist masked out."""
        positions, counts = self.read(np.arange(self.outputs), True)
        inside = (positions >= 0) & (positions < self.length)
        return np.where(inside, positions, 0), counts & inside


def _all(positions: Positions) -> tuple[Positions, Mask]:
    return positions, np.ones(positions.shape, dtype=bool)


def window(length: int, outputs: int, *, kernel: int, stride: int, padding: int, dilation: int) -> Taps:
    """A window of `kernel` taps that slides by `stride`: convolution, pooling, slicing, unfolding."""

    def read(o: Positions, _bounded: bool) -> tuple[Positions, Mask]:
        return _all(o[:, None] * stride - padding + np.arange(kernel) * dilation)

    return Taps(length, outputs, read, (1, stride))


def spread(length: int, outputs: int, *, kernel: int, stride: int, padding: int, dilation: int) -> Taps:
    """The transposed window: input i reaches the outputs i · stride − padding + k · dilation."""

    def read(o: Positions, _bounded: bool) -> tuple[Positions, Mask]:
        reached = o[:, None] + padding - np.arange(kernel) * dilation
        return reached // stride, reached % stride == 0

    return Taps(length, outputs, read, (stride, 1))


def shifted(length: int, outputs: int, before: int, mode: str) -> Taps:
    """Padding (or cropping, where `before` is negative) in any mode."""

    def read(o: Positions, bounded: bool) -> tuple[Positions, Mask]:
        positions = o[:, None] - before
        if bounded and mode == "reflect":
            positions = np.abs(positions)
            positions = np.where(positions >= length, 2 * (length - 1) - positions, positions)
        elif bounded and mode == "replicate":
            positions = np.clip(positions, 0, length - 1)
        elif bounded and mode == "circular":
            positions = positions % length
        return _all(positions)

    return Taps(length, outputs, read, (1, 1))


def flipped(length: int) -> Taps:
    """The axis read backwards."""
    return Taps(length, length, lambda o, _bounded: _all(length - 1 - o[:, None]), (1, -1))


def listed(length: int, positions: Any) -> Taps:
    """Positions given one by one, such as an index tensor; there is no free pattern."""
    table = np.asarray(positions, dtype=np.int64).reshape(-1)
    table = np.where(table < 0, table + length, table)
    return Taps(length, len(table), lambda o, _bounded: _all(table[o][:, None]), None)


def repeated(length: int, times: int) -> Taps:
    """Each position `times` times in a row."""
    return Taps(length, length * times, lambda o, _bounded: _all(o[:, None] // times), (times, 1))


def adaptive(length: int, outputs: int) -> Taps:
    """Adaptive pooling: output o reads the positions from ⌊o·L/O⌋ to ⌈(o+1)·L/O⌉ − 1."""
    width = -(-length // outputs) + 1

    def read(o: Positions, _bounded: bool) -> tuple[Positions, Mask]:
        first = o * length // outputs
        last = -(-(o + 1) * length // outputs) - 1
        positions = first[:, None] + np.arange(width)
        return positions, positions <= last[:, None]

    ratio = Fraction(length, outputs)
    return Taps(length, outputs, read, (ratio.denominator, ratio.numerator))


def _source(length: int, outputs: int, scale: float | None, corners: bool) -> Fraction:
    """Input positions for each output position, as a fraction."""
    if corners:
        return Fraction(length - 1, outputs - 1) if outputs > 1 else Fraction(0)
    if scale is not None and scale > 0:
        return 1 / Fraction(scale).limit_denominator(10_000)
    return Fraction(length, outputs)


def _period(ratio: Fraction) -> tuple[int, int] | None:
    return (ratio.denominator, ratio.numerator) if ratio else None


def nearest(length: int, outputs: int, scale: float | None, *, exact: bool) -> Taps:
    """Nearest neighbour: ⌊o · ratio⌋, or ⌊(o + ½) · ratio⌋ if `exact`."""
    ratio = _source(length, outputs, scale, False)
    n, d = ratio.numerator, ratio.denominator

    def read(o: Positions, bounded: bool) -> tuple[Positions, Mask]:
        positions = ((2 * o + 1) * n // (2 * d) if exact else o * n // d)[:, None]
        return _all(np.minimum(positions, length - 1) if bounded else positions)

    return Taps(length, outputs, read, _period(ratio))


def interpolated(length: int, outputs: int, scale: float | None, *, corners: bool, cubic: bool) -> Taps:
    """Linear (2 taps) or cubic (4 taps) interpolation; a tap of weight zero is not read."""
    ratio = _source(length, outputs, scale, corners)
    n, d = ratio.numerator, ratio.denominator

    def read(o: Positions, bounded: bool) -> tuple[Positions, Mask]:
        doubled = 2 * o * n if corners else (2 * o + 1) * n - d  # the source position, times 2d
        if bounded and not cubic:
            doubled = np.maximum(doubled, 0)
        base, exactly = doubled // (2 * d), doubled % (2 * d) == 0
        offsets = np.array([0, -1, 1, 2] if cubic else [0, 1])
        positions = base[:, None] + offsets
        counts = ~exactly[:, None] | (offsets == 0)
        return (np.clip(positions, 0, length - 1) if bounded else positions), counts

    return Taps(length, outputs, read, _period(ratio))


def antialiased(length: int, outputs: int, scale: float | None, *, corners: bool, cubic: bool) -> Taps:
    """Interpolation with a filter as wide as the shrinking asks for; a tap of weight zero is not read."""
    ratio = _source(length, outputs, scale, corners)
    stretch = max(ratio, Fraction(1))
    support = (2 if cubic else 1) * stretch
    width = int(2 * support) + 3

    def read(o: Positions, bounded: bool) -> tuple[Positions, Mask]:
        rows, counted = [], []
        for output in o.tolist():
            centre = ratio * output if corners else ratio * output + ratio / 2
            low = int((centre - support + Fraction(1, 2)) // 1)
            positions = [low + k for k in range(width)]
            away = [abs(p + Fraction(1, 2) - centre) / stretch for p in positions]
            nonzero = [a < 1 or (cubic and 1 < a < 2) for a in away]
            rows.append(positions)
            counted.append(nonzero)
        del bounded
        return np.array(rows).reshape(len(o), width), np.array(counted, dtype=bool).reshape(len(o), width)

    return Taps(length, outputs, read, _period(ratio))
