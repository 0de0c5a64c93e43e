"""Settings of a layer as the command line spells them: `2`, `2,1`, `same`; grids from text, files and names."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from convlens.arithmetic import kernels
from convlens.arithmetic.grids import looks_like_grid, parse_grid, read_grid
from convlens.errors import ConvlensError
from convlens.images import SUFFIXES, read

Sides = tuple[tuple[int, int], tuple[int, int]]

GRID_SUFFIXES = (".csv", ".tsv", ".txt", ".npy")


def pair_from(name: str, text: str) -> tuple[int, int]:
    """Read `2` or `2,1` (rows, columns).

    >>> pair_from("stride", "2"), pair_from("stride", "2,1")
    ((2, 2), (2, 1))
    """
    numbers = _whole(name, text, "one number, or two (rows,columns)")
    if len(numbers) not in (1, 2):
        raise ConvlensError(f"{name} is {text!r}; use one number, or two: rows,columns")
    return numbers[0], numbers[-1]


def padding_from(text: str) -> Sides | str:
    """Read `1`, `1,2` (rows, columns), `1,2,0,3` (top, bottom, left, right) or a rule such as `same`.

    >>> padding_from("1,2"), padding_from("1,2,0,3"), padding_from("same")
    (((1, 1), (2, 2)), ((1, 2), (0, 3)), 'same')
    """
    if text.strip().isalpha():
        return text.strip()
    numbers = _whole("padding", text, "numbers, or valid, same or full")
    if len(numbers) == 4:
        return (numbers[0], numbers[1]), (numbers[2], numbers[3])
    if len(numbers) not in (1, 2):
        raise ConvlensError(f"padding is {text!r}; use one number, rows,columns or top,bottom,left,right")
    return (numbers[0], numbers[0]), (numbers[-1], numbers[-1])


def input_from(text: str) -> NDArray[Any]:
    """Read an input: numbers as text, a grid file, or an image as gray values."""
    if looks_like_grid(text):
        return parse_grid(text)
    return _file(Path(text), "input", "write numbers as '1 2 3 / 4 5 6', or name a file")


def kernel_from(text: str) -> NDArray[Any]:
    """Read a kernel: numbers as text, a kernel's name, a grid file or an image."""
    if looks_like_grid(text):
        return parse_grid(text)
    if Path(text).suffix or "/" in text:
        return _file(Path(text), "kernel", "write numbers as '1 2 / 3 4', name a kernel, or name a file")
    return kernels.named(text)


def _file(path: Path, what: str, otherwise: str) -> NDArray[Any]:
    suffix = path.suffix.lower()
    if suffix and suffix not in (*GRID_SUFFIXES, *SUFFIXES):
        raise ConvlensError(f"{what} is {str(path)!r}; use {', '.join(GRID_SUFFIXES)} or an image")
    if not path.is_file():
        raise ConvlensError(f"{what} is {str(path)!r}, and there is no such file; {otherwise}")
    return read_grid(path) if suffix in GRID_SUFFIXES else read(path, channels=1)[..., 0]


def _whole(name: str, text: str, allowed: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise ConvlensError(f"{name} is {text!r}; use {allowed}") from None
