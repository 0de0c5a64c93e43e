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
        sure: False where rounding decides whether some of them are read; they count then.
    """

    length: int
    outputs: int
    read: Callable[[Positions, bool], tuple[Positions, Mask]]
    period: tuple[int, int] | None
    sure: bool = True

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


def table(length: int, positions: Any, counts: Any) -> Taps:
    """Positions (outputs, taps) given one by one, and which of them count."""
    return Taps(length, len(positions), lambda o, _bounded: (positions[o], counts[o]), None)


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


def _rounds(ratio: Fraction, outputs: int, shift: Fraction) -> bool:
    """Whether some (output + shift) · ratio that is a half or a whole comes out as less or more in floating point."""
    halves = [2 * ratio * (number + shift) for number in range(outputs)]
    whole = [number for number, each in enumerate(halves) if each.denominator == 1]
    exact = np.array([float(halves[number]) for number in whole])
    for dtype in (np.float32, np.float64):
        made = np.array([2 * (dtype(ratio) * dtype(number + shift)) for number in whole], dtype=np.float64)
        if not np.array_equal(made, exact):
            return True
    return False


def _period(ratio: Fraction) -> tuple[int, int] | None:
    return (ratio.denominator, ratio.numerator) if ratio else None


def nearest(length: int, outputs: int, scale: float | None, *, exact: bool) -> Taps:
    """Nearest neighbour: ⌊o · ratio⌋, or ⌊(o + ½) · ratio⌋ if `exact`."""
    ratio = _source(length, outputs, scale, False)
    n, d = ratio.numerator, ratio.denominator
    sure = not _rounds(ratio, outputs, Fraction(1, 2) if exact else Fraction(0))

    def read(o: Positions, bounded: bool) -> tuple[Positions, Mask]:
        twice = (2 * o + 1) * n if exact else 2 * o * n
        base = (twice // (2 * d))[:, None]
        below = (twice % (2 * d) == 0)[:, None] & (not sure)
        positions, counts = np.hstack([base, base - 1]), np.hstack([np.ones_like(below), below])
        return (np.clip(positions, 0, length - 1) if bounded else positions), counts

    return Taps(length, outputs, read, _period(ratio), sure)


def interpolated(length: int, outputs: int, scale: float | None, *, corners: bool, cubic: bool) -> Taps:
    """Linear (2 taps) or cubic (4 taps) interpolation; a tap of weight zero is not read."""
    ratio = _source(length, outputs, scale, corners)
    n, d = ratio.numerator, ratio.denominator
    sure = not _rounds(ratio, outputs, Fraction(0) if corners else Fraction(1, 2))

    def read(o: Positions, bounded: bool) -> tuple[Positions, Mask]:
        doubled = 2 * o * n if corners else (2 * o + 1) * n - d  # the source position, times 2d
        if bounded and not cubic:
            doubled = np.maximum(doubled, 0)
        base, exactly = doubled // (2 * d), doubled % (2 * d) == 0
        offsets = np.array([0, -1, 1, 2] if cubic else [0, 1])
        counts = ~exactly[:, None] | (offsets == 0)
        if not sure:  # a whole position may come out a little less or more
            offsets = np.array([0, -1, 1, 2, -2] if cubic else [0, 1, -1])
            counts = ~exactly[:, None] & (offsets != offsets[-1]) | exactly[:, None]
        positions = base[:, None] + offsets
        return (np.clip(positions, 0, length - 1) if bounded else positions), counts

    return Taps(length, outputs, read, _period(ratio), sure)


def antialiased(length: int, outputs: int, scale: float | None, *, corners: bool, cubic: bool) -> Taps:
    """Interpolation with a filter as wide as the shrinking asks for; a tap of weight zero is not read."""
    ratio = _source(length, outputs, scale, corners)
    stretch = max(ratio, Fraction(1))
    support = (2 if cubic else 1) * stretch
    width = int(2 * support) + 3
    dyadic = all(each.denominator & (each.denominator - 1) == 0 for each in (ratio, 1 / stretch))
    edges = (1, 2) if cubic else (1,)

    def table(o: Positions) -> tuple[Positions, Mask, bool]:
        rows, counted, rounded = [], [], False
        for output in o.tolist():
            centre = ratio * output + ratio / 2  # corners only change the ratio
            low = int((centre - support + Fraction(1, 2)) // 1)
            positions = [low + k for k in range(-1, width)]
            away = [abs(p + Fraction(1, 2) - centre) / stretch for p in positions]
            on_edge = [not dyadic and a in edges for a in away]
            rows.append(positions)
            counted.append([(a < edges[-1] and a not in edges) or edge for a, edge in zip(away, on_edge, strict=True)])
            rounded = rounded or any(on_edge)
        shape = (len(o), width + 1)
        return np.array(rows).reshape(shape), np.array(counted, dtype=bool).reshape(shape), rounded

    unsure = table(np.arange(outputs))[2]
    return Taps(length, outputs, lambda o, _bounded: table(o)[:2], _period(ratio), not unsure)
