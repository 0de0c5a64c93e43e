"""Grids of numbers as text: `1 2 3 / 4 5 6`, CSV, .npy."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.arithmetic.setting_error import ArithmeticSettingError

LECTURE_INPUT = "3 3 2 1 0 / 0 0 1 3 1 / 3 1 2 2 3 / 2 0 0 2 2 / 2 0 0 0 1"
LECTURE_KERNEL = "0 1 2 / 2 2 0 / 0 1 2"
LECTURE_POOLING = "2 -4 2 2 / 0 1 0 -1 / 2 1 0 2 / 5 -3 1 4"

_ONLY_NUMBERS = re.compile(r"[\s\d.,;/+\-eE]*\d[\s\d.,;/+\-eE]*")


def looks_like_grid(text: str) -> bool:
    """Whether a text holds numbers and separators only, so that it is a grid and no file name.

    >>> looks_like_grid("1 2 / 3 4"), looks_like_grid("photo.png"), looks_like_grid("/data/1/2.csv")
    (True, False, False)
    """
    return _ONLY_NUMBERS.fullmatch(text) is not None


def parse_grid(text: str) -> NDArray[Any]:
    """Read a grid from text: rows end with `/`, `;` or a new line, numbers with blanks or commas.

    Returns:
        `(H, W)`, int64 when every number is whole, else float64.

    Raises:
        ArithmeticSettingError: rows of different lengths, or something that is not a number.

    >>> parse_grid("1 2 / 3 4").tolist(), parse_grid("0.5, 1").tolist()
    ([[1, 2], [3, 4]], [[0.5, 1.0]])
    """
    rows = [row.replace(",", " ").split() for row in re.split(r"[/;\n]", text) if row.strip()]
    if not rows:
        raise ArithmeticSettingError("the grid is empty; write it as '1 2 3 / 4 5 6'")
    lengths = [len(row) for row in rows]
    if len(set(lengths)) > 1:
        odd = next(place for place, length in enumerate(lengths) if length != lengths[0])
        raise ArithmeticSettingError(
            f"row {odd + 1} of the grid has {lengths[odd]} numbers and row 1 has {lengths[0]}; give all rows the same"
        )
    return np.array([[_number(word) for word in row] for row in rows])


def read_grid(path: str | Path) -> NDArray[Any]:
    """Read a grid from a text file (.csv, .tsv, .txt) or a NumPy file (.npy, never unpickled).

    Raises:
        ArithmeticSettingError: when the file holds no grid of numbers.
    """
    file = Path(path)
    if file.suffix.lower() != ".npy":
        try:
            return parse_grid(file.read_text(encoding="utf-8-sig").replace("\t", " "))
        except (ArithmeticSettingError, UnicodeDecodeError) as error:
            raise ArithmeticSettingError(f"{file} holds no grid of numbers: {error}") from None
    try:
        grid = np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ArithmeticSettingError(f"{file} is not an array of numbers: {error}") from None
    if not isinstance(grid, np.ndarray) or grid.ndim != 2 or grid.dtype.kind not in "biuf" or 0 in grid.shape:
        shape, dtype = getattr(grid, "shape", "?"), getattr(grid, "dtype", "?")
        raise ArithmeticSettingError(f"{file} holds shape {shape} of {dtype}; use two axes of real numbers: (H, W)")
    return grid


def write_grid(grid: NDArray[Any]) -> str:
    """Write a grid as CSV.

    >>> write_grid(np.array([[1, 2], [3, 4]]))
    '1,2\\n3,4\\n'
    """
    return "".join(",".join(repr(number) for number in row) + "\n" for row in grid.tolist())


def _number(word: str) -> int | float:
    try:
        return int(word)
    except ValueError:
        pass
    try:
        return float(word)
    except ValueError:
        raise ArithmeticSettingError(f"{word!r} is not a number; write the grid as '1 2 3 / 4 5 6'") from None
