"""The receptive field of one unit, as it is asked for and shown."""

from dataclasses import dataclass, field
from typing import Any


class Each(tuple[int | float, ...]):
    """One number for each axis; equal to a single number where all axes agree, so that `size == 427` may be asked.

    >>> Each((427, 427)) == 427, Each((3, 5)) == 3, Each((3, 5)) == (3, 5)
    (True, False, True)
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int | float):
            return bool(self) and all(each == other for each in self)
        return tuple.__eq__(self, other) is True

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = tuple.__hash__

    def __repr__(self) -> str:
        texts = [f"{each:g}" for each in self]
        return texts[0] if len(set(texts)) == 1 else "×".join(texts)

    def __format__(self, specification: str) -> str:
        return format(repr(self), specification)


Interval = tuple[int, int]


@dataclass(frozen=True)
class ReceptiveField:
    """The input rows and columns that can influence one unit. Made by `Anatomy.receptive_field`.

    Attributes:
        at: the module or operation asked about.
        unit: the unit's place in the map.
        runs: for each axis of the input the rows that can influence the unit, as intervals of neighbours, inclusive
            and clipped to the image: one where every row between the first and the last counts, several where there
            are holes, as a dilated kernel leaves them, none where the unit depends on nothing.
        image: size of the input along these axes.
        size: extent along each axis on an image without borders; where there is no such pattern, of the largest region.
        stride: distance on the image from one unit to the next, negative on a map that runs backwards; None where the
            map is not regular.
        offset: place on the image of the centre of unit 0; None where the map is not regular.
        regular: whether stride, offset and size describe every unit: region = offset + stride · unit ± (size − 1) / 2,
            clipped.
        word: why it is not regular, or "".
        bounds: names of operations on the way whose part is only bounded from above, since numbers that depend on the
            input decide; the unit's true region then lies inside the one told. Empty: the region is exact.
        local: the same without gates and global statistics, which are followed by no one.
        everything: the same with them.
    """

    at: str
    unit: tuple[int, ...]
    runs: tuple[tuple[Interval, ...], ...]
    image: tuple[int, ...]
    size: Each | None
    stride: Each | None
    offset: Each | None
    regular: bool
    word: str
    bounds: tuple[str, ...] = ()
    gateless: "ReceptiveField | None" = field(default=None, repr=False, compare=False)
    whole: "ReceptiveField | None" = field(default=None, repr=False, compare=False)

    @property
    def axes(self) -> tuple[Interval | None, ...]:
        """For each axis of the input the first and last index, inclusive; None where the unit depends on nothing."""
        return tuple((runs[0][0], runs[-1][1]) if runs else None for runs in self.runs)

    @property
    def holes(self) -> bool:
        """Whether there are rows or columns between the first and the last that cannot influence the unit."""
        return any(len(runs) > 1 for runs in self.runs)

    @property
    def rows(self) -> Interval | None:
        """First and last input row, inclusive."""
        return self.axes[-2] if len(self.axes) >= 2 else None

    @property
    def columns(self) -> Interval | None:
        """First and last input column, inclusive."""
        return self.axes[-1] if self.axes else None

    @property
    def local(self) -> "ReceptiveField":
        """The field without gates and global statistics."""
        return self.gateless or self

    @property
    def everything(self) -> "ReceptiveField":
        """The field with gates and global statistics."""
        return self.whole or self

    @property
    def exact(self) -> bool:
        """Whether every row and column from the first to the last can influence the unit, and no other."""
        return not self.bounds and not self.holes

    @property
    def is_global(self) -> bool:
        """Whether the whole image can influence the unit."""
        return bool(self.axes) and all(
            axis == (0, length - 1) for axis, length in zip(self.axes, self.image, strict=True)
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        content: dict[str, Any] = {
            "at": self.at,
            "unit": list(self.unit),
            "rows": list(self.rows) if self.rows else None,
            "columns": list(self.columns) if self.columns else None,
            "image": list(self.image),
            "size": list(self.size) if self.size else None,
            "stride": list(self.stride) if self.stride else None,
            "offset": list(self.offset) if self.offset else None,
            "regular": self.regular,
            "word": self.word,
            "exact": self.exact,
            "runs": [[list(each) for each in runs] for runs in self.runs],
            "bounds": list(self.bounds),
        }
        if self.gateless is not None:
            content["local"] = self.gateless.to_dict()
        return content

    def __str__(self) -> str:
        told = f"{self.at or 'output'} {self.unit}: {self._told()}"
        return f"{told}\nbounded from above, not exact, because of {', '.join(self.bounds)}" if self.bounds else told

    def _told(self) -> str:
        where = f"rows {_words(self.rows)}, columns {_words(self.columns)}" if len(self.axes) > 1 else str(self.axes)
        text = f"{'at most ' if self.bounds else ''}{where} of {'×'.join(map(str, self.image))}; size {self.size}"
        text += f", stride {self.stride}, offset {self.offset}" if self.regular else f", not regular ({self.word})"
        text += f"\nwith holes: {self._listed()}" if self.holes else ""
        return f"{text}\nwithout gates: {self.gateless._told()}" if self.gateless is not None else text

    def _listed(self) -> str:
        names = ["rows", "columns"] if len(self.runs) == 2 else [f"axis {i}" for i in range(len(self.runs))]
        return "; ".join(
            f"{name} {', '.join(str(a) if a == b else f'{a}–{b}' for a, b in runs)}"
            for name, runs in zip(names, self.runs, strict=True)
            if len(runs) > 1
        )


def _words(interval: Interval | None) -> str:
    return f"{interval[0]}–{interval[1]}" if interval else "none"
