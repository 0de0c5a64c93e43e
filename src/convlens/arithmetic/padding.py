"""Padding: every padded cell is a copy of an input cell, or a zero."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convlens.arithmetic.setting_error import ArithmeticSettingError
from convlens.errors import unknown_name

# ((top, bottom), (left, right))
Sides = tuple[tuple[int, int], tuple[int, int]]

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")

# The source of a cell that is no copy of the input.
NO_SOURCE = -1


def sources(size: int, before: int, after: int, padding_mode: str = "zeros") -> NDArray[np.intp]:
    """For every cell of a padded axis, the input cell that it copies, or `NO_SOURCE` where it is a zero.

    Args:
        size: cells of the axis before padding.
        before: cells to add in front.
        after: cells to add behind.
        padding_mode: `zeros`; `reflect` mirrors without repeating the border cell; `replicate` repeats the border
            cell; `circular` goes on at the other end.

    Raises:
        ArithmeticSettingError: when there are not enough cells to copy, or a side is negative.

    >>> sources(4, 2, 1, "reflect").tolist(), sources(4, 2, 1, "circular").tolist(), sources(4, 2, 1).tolist()
    ([2, 1, 0, 1, 2, 3, 2], [2, 3, 0, 1, 2, 3, 0], [-1, -1, 0, 1, 2, 3, -1])
    """
    if padding_mode not in PADDING_MODES:
        raise unknown_name("padding mode", padding_mode, PADDING_MODES)
    if min(before, after) < 0:
        raise ArithmeticSettingError(f"padding is {(before, after)}; use numbers that are 0 or more")
    _check_enough_cells(size, max(before, after), padding_mode)
    cell = np.arange(-before, size + after)
    if padding_mode == "reflect":
        from_start = np.abs(cell)
        return np.where(from_start < size, from_start, 2 * (size - 1) - from_start)
    if padding_mode == "replicate":
        return cell.clip(0, size - 1)
    if padding_mode == "circular":
        return cell % max(size, 1)
    return np.where((cell >= 0) & (cell < size), cell, NO_SOURCE)


def pad(x: ArrayLike, padding: int | tuple[int, int] | Sides, *, padding_mode: str = "zeros") -> NDArray[Any]:
    """Pad the last two axes.

    Args:
        x: `(..., H, W)`, any dtype.
        padding: one number for all sides, `(rows, columns)`, or `((top, bottom), (left, right))`.
        padding_mode: `zeros`, `reflect`, `replicate` or `circular`, with torch's meaning.

    Returns:
        `(..., top + H + bottom, left + W + right)`, the same dtype.

    Raises:
        ArithmeticSettingError: when `reflect` or `circular` asks for more cells than there are.

    >>> pad([[1, 2, 3]], ((0, 1), (2, 0)), padding_mode="replicate").tolist()
    [[1, 1, 1, 2, 3], [1, 1, 1, 2, 3]]
    """
    image = np.asarray(x)
    if image.ndim < 2:
        raise ArithmeticSettingError(f"x has shape {image.shape}; padding needs rows and columns: (..., H, W)")
    (top, bottom), (left, right) = two_sides(padding)
    rows = sources(image.shape[-2], top, bottom, padding_mode)
    columns = sources(image.shape[-1], left, right, padding_mode)
    return gather(image, rows, columns)


def gather(image: NDArray[Any], rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[Any]:
    """Copy the cells that `rows` and `columns` name from `(..., H, W)`; `NO_SOURCE` gives a zero."""
    from_rows, from_columns = rows != NO_SOURCE, columns != NO_SOURCE
    padded = np.zeros((*image.shape[:-2], len(rows), len(columns)), image.dtype)
    padded[..., np.ix_(from_rows, from_columns)[0], np.ix_(from_rows, from_columns)[1]] = image[
        ..., rows[from_rows][:, None], columns[from_columns]
    ]
    return padded


def two_sides(padding: int | tuple[int, int] | Sides) -> Sides:
    """Spell out padding given as one number, `(rows, columns)` or `((top, bottom), (left, right))`.

    >>> two_sides((1, 2))
    ((1, 1), (2, 2))
    """
    given = _numbers(padding)
    if given.shape not in ((), (2,), (2, 2)) or given.dtype.kind not in "iu" or given.min() < 0:
        raise ArithmeticSettingError(
            f"padding is {padding!r}; use a number of 0 or more, (rows, columns) or ((top, bottom), (left, right))"
        )
    rows, columns = np.broadcast_to(given[..., None] if given.ndim == 1 else given, (2, 2)).tolist()
    return (rows[0], rows[1]), (columns[0], columns[1])


def _numbers(padding: Any) -> NDArray[Any]:
    try:
        return np.asarray(padding)
    except ValueError:  # a ragged list
        return np.asarray(None)


def _check_enough_cells(size: int, wanted: int, padding_mode: str) -> None:
    if padding_mode == "reflect" and wanted >= max(size, 1):
        limit, why = size - 1, "the border cell is not repeated"
    elif padding_mode == "circular" and wanted > size:
        limit, why = size, "it goes round at most once"
    elif padding_mode == "replicate" and size == 0 and wanted > 0:
        limit, why = 0, "there is no border cell"
    else:
        return
    raise ArithmeticSettingError(
        f"padding_mode {padding_mode!r} can add at most {limit} cells to an axis of {size} ({why}), not {wanted}; "
        "use less padding or a larger input"
    )
