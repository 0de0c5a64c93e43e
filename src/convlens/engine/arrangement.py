"""How a tensor of the graph is made of values: which channel of which value lies where.

Slices, splits, shuffles, concatenations, reshapes and permutations move numbers without computing any. They are
followed here as an array of channel numbers, and nothing is moved before a layer needs the numbers in one place.

Axes are spelt as the labels that run along them: `n` images, `h` rows, `w` columns, and whole numbers for the axes of
the array of channels; `(("n",), (0,), ("h",), ("w",))` is a map as torch has it, `(("n", "h", "w"), (0,))` its pixels
as rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

Label = int | str
Axis = tuple[Label, ...]
MAP: tuple[Axis, ...] = (("n",), (0,), ("h",), ("w",))


class NotAnArrangementError(Exception):
    """A rearrangement that moves more than whole channels."""


@dataclass(frozen=True)
class Arrangement:
    """A tensor made of channels of values.

    Attributes:
        parts: numbers of values; their channels are counted through, one value after the other.
        starts: where each part's channels begin in that count.
        index: the channel at each place of the channel axes.
        axes: the labels along each axis, in order.
        sizes: of n, h and w.
    """

    parts: tuple[int, ...]
    starts: tuple[int, ...]
    index: NDArray[np.int64]
    axes: tuple[Axis, ...]
    sizes: tuple[int, int, int]

    @staticmethod
    def of(value: int, channels: int, images: int, height: int, width: int) -> "Arrangement":
        """A value as it is, (N, C, H, W)."""
        return Arrangement((value,), (0,), np.arange(channels), MAP, (images, height, width))

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """As torch has it."""
        return tuple(prod(self._size(label) for label in axis) for axis in self.axes)

    @property
    def channels(self) -> NDArray[np.int64]:
        """The channels in order."""
        return self.index.reshape(-1)

    @property
    def is_map(self) -> bool:
        """Whether it is laid out as (N, C, H, W), or (N, C) for a vector, with all channels on one axis."""
        expected = [("n",), self._all_channels(), ("h",), ("w",)]
        return self._long_axes() == [axis for axis in map(self.long, expected) if axis]

    @property
    def has_channels_last(self) -> bool:
        """Whether all channels are on the last axis, and the places before it in order, on one axis or several."""
        axes, channels = self._long_axes(), self._all_channels()
        if channels:
            if not axes or axes[-1] != channels:
                return False
            axes = axes[:-1]
        return tuple(label for axis in axes for label in axis) == self.long(("n", "h", "w"))

    @property
    def is_flat(self) -> bool:
        """Whether channels and places of an image are one axis, as torch flattens them."""
        return self._long_axes() == [("n",), (*self._all_channels(), *self.long(("h", "w")))]

    def whole(self, counts: Sequence[int]) -> bool:
        """Whether it is one value, every channel of it once; in any order, and axes of any kind."""
        return len(self.parts) == 1 and np.array_equal(np.sort(self.channels), np.arange(counts[self.parts[0]]))

    def reshaped(self, shape: Sequence[int]) -> "Arrangement":
        """The same numbers in another shape.

        Raises:
            NotAnArrangementError: rows or columns would be cut.
        """
        waiting = [(label, self._size(label)) for axis in self.axes for label in axis if self._size(label) > 1]
        dims: list[int] = []  # the new channel axes
        axes: list[Axis] = []
        for size in _known(shape, prod(self.shape)):
            axis: list[Label] = []
            while size > 1:
                if not waiting:
                    raise NotAnArrangementError
                label, there = waiting.pop(0)
                taken = there
                if there > size:
                    if isinstance(label, str) or there % size:
                        raise NotAnArrangementError
                    waiting.insert(0, (label, there // size))
                    taken = size
                if size % taken:
                    raise NotAnArrangementError
                size //= taken
                if isinstance(label, str):
                    axis.append(label)
                else:
                    axis.append(len(dims))
                    dims.append(taken)
            axes.append(tuple(axis))
        return Arrangement(self.parts, self.starts, self.index.reshape(dims or (1,)), tuple(axes), self.sizes)

    def permuted(self, order: Sequence[int]) -> "Arrangement":
        """The axes in another order."""
        axes = tuple(self.axes[axis % len(self.axes)] for axis in order)
        found = [label for axis in axes for label in axis if isinstance(label, int)]
        renamed = {label: position for position, label in enumerate(found)}
        rest = [axis for axis in range(self.index.ndim) if axis not in renamed]  # of length 1
        index = self.index.transpose([*found, *rest]).reshape([self.index.shape[i] for i in found] or (1,))
        named = tuple(tuple(renamed[x] if isinstance(x, int) else x for x in axis) for axis in axes)
        return Arrangement(self.parts, self.starts, index, named, self.sizes)

    def taken(self, axis: int, which: NDArray[np.int64] | slice) -> "Arrangement":
        """Some places along an axis of channels.

        Raises:
            NotAnArrangementError: the axis is none of channels alone.
        """
        labels = self.axes[axis % len(self.axes)]
        if len(labels) != 1 or not isinstance(labels[0], int):
            if not labels:
                return self
            raise NotAnArrangementError
        index = self.index[(slice(None),) * labels[0] + (which,)]
        return Arrangement(self.parts, self.starts, index, self.axes, self.sizes)

    def joined(self, others: "Sequence[Arrangement]", axis: int, counts: Sequence[int]) -> "Arrangement":
        """Concatenated with others along an axis of channels.

        Raises:
            NotAnArrangementError: the axis is none of channels alone, or the others are laid out differently.
        """
        together = [self, *others]
        axis %= len(self.axes)
        shaped = [each._with_axis(axis) for each in together]
        if any(each.axes != shaped[0].axes or each.sizes != self.sizes for each in shaped):
            raise NotAnArrangementError
        (label,) = shaped[0].axes[axis]
        assert isinstance(label, int)
        parts: list[int] = []
        starts: list[int] = []
        moved = []
        total = 0
        for each in shaped:
            index = np.empty_like(each.index)
            for part, start in zip(each.parts, each.starts, strict=True):
                if part in parts:
                    begin = starts[parts.index(part)]
                else:
                    parts.append(part)
                    starts.append(total)
                    begin, total = total, total + counts[part]
                inside = (each.index >= start) & (each.index < start + counts[part])
                index[inside] = each.index[inside] - start + begin
            moved.append(index)
        return Arrangement(tuple(parts), tuple(starts), np.concatenate(moved, label), shaped[0].axes, self.sizes)

    def on(self, value: int) -> "Arrangement":
        """The same arrangement of a value that has these channels in this order."""
        return Arrangement((value,), (0,), np.arange(self.index.size).reshape(self.index.shape), self.axes, self.sizes)

    def placed(self, value: int) -> "Arrangement":
        """The same arrangement of another value with the same channels as the one part."""
        return Arrangement((value,), (0,), self.index, self.axes, self.sizes)

    def pieces(self) -> list[tuple[int, list[int]]]:
        """(value, its channels) in order, neighbours of one value together."""
        found: list[tuple[int, list[int]]] = []
        begins = np.asarray(self.starts)
        for channel in self.channels.tolist():
            part = int(np.searchsorted(begins, channel, side="right")) - 1
            value, own = self.parts[part], channel - self.starts[part]
            if found and found[-1][0] == value:
                found[-1][1].append(own)
            else:
                found.append((value, [own]))
        return found

    def _size(self, label: Label) -> int:
        return self.index.shape[label] if isinstance(label, int) else self.sizes["nhw".index(label)]

    def long(self, axis: Axis) -> Axis:
        """The labels of an axis that are longer than 1."""
        return tuple(label for label in axis if self._size(label) > 1)

    def _long_axes(self) -> list[Axis]:
        return [axis for axis in map(self.long, self.axes) if axis]

    def _all_channels(self) -> Axis:
        return tuple(x for axis in self.axes for x in axis if isinstance(x, int) and self._size(x) > 1)

    def _with_axis(self, axis: int) -> "Arrangement":
        """With exactly one label on an axis of channels, also where it has length 1."""
        labels = self.axes[axis]
        if len(labels) == 1 and isinstance(labels[0], int):
            return self
        if any(isinstance(label, str) for label in labels):
            raise NotAnArrangementError
        before = [label for each in self.axes[:axis] for label in each if isinstance(label, int)]
        count, position = prod(self._size(label) for label in labels), len(before)
        dims = [*(self.index.shape[: len(before)] if before else ()), count]
        after = [label for each in self.axes[axis + 1 :] for label in each if isinstance(label, int)]
        dims += [self.index.shape[label] for label in after if isinstance(label, int)]
        shift = 1 - len(labels)
        axes = tuple(
            (position,)
            if number == axis
            else tuple(x + shift if isinstance(x, int) and number > axis else x for x in each)
            for number, each in enumerate(self.axes)
        )
        return Arrangement(self.parts, self.starts, self.index.reshape(dims), axes, self.sizes)


def _known(shape: Sequence[int], total: int) -> list[int]:
    """A shape with its -1 worked out."""
    if -1 not in shape:
        return list(shape)
    known = prod(size for size in shape if size != -1)
    return [total // known if size == -1 else size for size in shape]
