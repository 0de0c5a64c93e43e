"""Numbers that users set, each with the range that it must lie in: one way to declare it, one message."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from convlens.errors import ConvlensError


@dataclass(frozen=True)
class Range:
    """From the lowest to the highest value that makes sense, both included.

    Args:
        lowest: the smallest value.
        highest: the largest value; infinity for no limit.
        example: what follows in the message, such as `"such as 0.001"` or `"0 for a free one"`.
        open_below: whether the lowest value itself is too small.
    """

    lowest: float
    highest: float = inf
    example: str = ""
    open_below: bool = False

    def __contains__(self, value: float) -> bool:
        above = self.lowest < value if self.open_below else self.lowest <= value
        return above and value <= self.highest and abs(value) != inf

    def __str__(self) -> str:
        """What may be given, in words.

        >>> str(Range(1)), str(Range(0, 1, "such as 0.1")), str(Range(0, open_below=True))
        ('at least 1', '0 to 1, such as 0.1', 'more than 0')
        """
        least = f"more than {_plain(self.lowest)}" if self.open_below else f"at least {_plain(self.lowest)}"
        if self.highest != inf:
            bound = f"at most {_plain(self.highest)}"
            least = f"{least} and {bound}" if self.open_below else f"{_plain(self.lowest)} to {_plain(self.highest)}"
        return f"{least}, {self.example}" if self.example else least


def check_ranges(settings: object, ranges: Mapping[str, Range], *, of: str = "") -> None:
    """Check the fields of a configuration when it is made; fields that are None, or pairs, are no special case.

    Args:
        settings: has an attribute for every name in `ranges`.
        ranges: what each may be.
        of: said before the name, such as `"augmentation"`, where the name alone is not enough.

    Raises:
        ConvlensError: naming the first field out of its range, its value and what it may be.
    """
    for name, allowed in ranges.items():
        check_range(f"{of}: {name}" if of else name, getattr(settings, name), allowed)


def check_range(name: str, value: Any, allowed: Range) -> None:
    """Check one value, or each of a pair, or None, which stands for what is chosen later.

    Raises:
        ConvlensError: naming the value and what it may be.
    """
    values = value if isinstance(value, tuple) else () if value is None else (value,)
    if not all(number in allowed for number in values):
        raise ConvlensError(f"{name} is {value!r}; use {allowed}")


def _plain(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"
