"""A walk in the terminal: grids side by side, the window marked, step by step."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.text import Text

from convlens.arithmetic import Step, Walk
from convlens.arithmetic.animation import FORMATS, save_animation
from convlens.arithmetic.grids import write_grid
from convlens.arithmetic.padding import NO_SOURCE
from convlens.arithmetic.walk import bare
from convlens.errors import ConvlensError
from convlens.files import replacing, write_text

MOST_ROWS = 24
GAP = "   "
UNLIMITED = 400
RESULT_SUFFIXES = (".csv", ".npy", ".png")


def show(walk: Walk, step: Step, console: Console, *, only_so_far: bool = False) -> None:
    """Print the grids with one window marked `[ ]`, and its sum written out."""
    lines = _side_by_side(_grids(walk, step, only_so_far, UNLIMITED, UNLIMITED))
    if max(line.cell_len for line in lines) > console.width:
        taken = 2 * len(GAP) if step.kernel is None else 2 * len(GAP) + _width(_kernel_grid(walk, step))
        input_width = (console.width - taken) * 3 // 5
        lines = _side_by_side(_grids(walk, step, only_so_far, input_width, console.width - taken - input_width))
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
    row, column = step.output_cell[1:]
    console.print(f"\noutput[{row}, {column}] = {step.written()}", highlight=False, markup=False)


def _grids(walk: Walk, step: Step, only_so_far: bool, input_width: int, output_width: int) -> list[list[Text]]:
    grids = [_input_grid(walk, step, input_width)]
    if step.kernel is not None:
        grids.append(_kernel_grid(walk, step))
    return [*grids, _output_grid(walk, step, only_so_far, output_width)]


def walk_through(walk: Walk, console: Console) -> None:
    """Print every step; at a terminal wait for a key line after each: Enter, b (back), q (quit)."""
    asked = sys.stdin.isatty() and console.is_terminal
    index = 0
    while index < len(walk):
        if asked:
            console.clear()
        console.print(f"step {index + 1} of {len(walk)}", highlight=False)
        show(walk, walk[index], console, only_so_far=True)
        answer = console.input("\nEnter: next   b: back   q: quit  ").strip().lower() if asked else ""
        if answer == "q":
            return
        index = max(index - 1, 0) if answer == "b" else index + 1
        if not asked and index < len(walk):
            console.print()


def finish(
    walks: Sequence[Walk],
    *,
    formulas: tuple[str, str] | None = None,
    at: str | None,
    step: bool,
    animate: Path | None,
    seconds: float,
    output: Path | None,
    as_json: bool,
) -> int:
    """Do what the flags ask for: write files, then print as JSON, step by step, or at one window.

    Several walks are shown under each other; only one can be stepped through, drawn or written.
    """
    chosen = [_step_at(at, walk) for walk in walks]
    walk = walks[0]
    if output is not None:
        _write_result(walk.output, output)
        print(f"wrote {output}", file=sys.stderr)
    if animate is not None:
        save_animation(walk, animate, seconds_per_frame=seconds)
        print(f"wrote {animate}: {len(walk)} frames", file=sys.stderr)
    console = Console()
    if as_json:
        shown = [each.to_dict(with_steps=step) for each in walks]
        print(json.dumps(shown[0] if len(shown) == 1 else {each["operation"]: each for each in shown}))
    elif step:
        walk_through(walk, console)
    else:
        for each, window in zip(walks, chosen, strict=True):
            if each is not walks[0]:
                console.print()
            if len(walks) > 1:
                console.print(f"{each.operation} pooling", style="bold")
            show(each, window, console)
        for line in _size_lines(formulas) if formulas else ():
            console.print(line, highlight=False, markup=False)
    return 0


def _size_lines(formulas: tuple[str, str]) -> list[str]:
    rows, columns = formulas
    return [f"rows and columns: {rows}"] if rows == columns else [f"rows: {rows}", f"columns: {columns}"]


def _step_at(text: str | None, walk: Walk) -> Step:
    """The step of the output cell `row,column`; the first when None."""
    if text is None:
        return walk[0]
    try:
        row, column = (int(word) for word in text.split(","))
    except ValueError:
        raise ConvlensError(f"at is {text!r}; use row,column of an output cell, counted from 0") from None
    _, rows, columns = walk.shape
    if not (0 <= row < rows and 0 <= column < columns):
        raise ConvlensError(f"at is {text!r}; the output has rows 0 to {rows - 1} and columns 0 to {columns - 1}")
    return walk[row * columns + column]


def check_files(output: Path | None, animation: Path | None) -> None:
    """Refuse a suffix that cannot be written, before anything is computed."""
    drawn = tuple(f".{name}" for name in FORMATS)
    for option, file, suffixes in (("output", output, RESULT_SUFFIXES), ("animate", animation, drawn)):
        if file is not None and file.suffix.lower() not in suffixes:
            raise ConvlensError(f"{option} is {str(file)!r}; its name must end in {', '.join(suffixes)}")


def _write_result(output: NDArray[Any], file: Path) -> None:
    """Write the output grid: .csv and .npy as it is, .png rounded and clipped to 0..255."""
    if file.suffix.lower() == ".csv":
        write_text(file, write_grid(output))
        return
    with replacing(file) as temporary, temporary.open("wb") as stream:
        if file.suffix.lower() == ".npy":
            np.save(stream, output, allow_pickle=False)
        else:
            Image.fromarray(np.nan_to_num(output).round().clip(0, 255).astype(np.uint8)).save(stream, format="PNG")


def _input_grid(walk: Walk, step: Step, width: int) -> list[Text]:
    taps = {(row, column) for row in step.rows for column in step.columns}
    rows, columns = walk.x.shape

    def look(row: int, column: int) -> tuple[str, str]:
        copied = NO_SOURCE not in (walk.source_rows[row], walk.source_columns[column])
        if (row, column) == step.chosen:
            return "[]", "bold reverse magenta"
        style = "reverse yellow" if (row, column) in taps else ("" if walk.is_input(row, column) else "dim")
        return ("[]" if (row, column) in taps else "") + ("" if copied else "·"), style

    title = f"input {rows}×{columns}" + ("" if walk.padded.shape == walk.x.shape else ", padded")
    return _grid(title, walk.padded, look, focus=(step.rows, step.columns), width=width)


def _output_grid(walk: Walk, step: Step, only_so_far: bool, width: int) -> list[Text]:
    place = step.output_cell[1:]
    rows, columns = walk.output.shape

    def look(row: int, column: int) -> tuple[str, str]:
        if (row, column) == place:
            return "[]", "reverse green"
        later = only_so_far and row * columns + column > step.index
        return ("?" if later else ""), ("dim" if later else "green")

    return _grid(f"output {rows}×{columns}", walk.output, look, focus=((place[0],), (place[1],)), width=width)


def _kernel_grid(walk: Walk, step: Step) -> list[Text]:
    assert step.kernel is not None  # only called for a convolution
    flipped = ", flipped" if walk.operation in ("convolution", "transposed") else ""
    title = f"kernel {walk.kernel_size[0]}×{walk.kernel_size[1]}{flipped}"
    return _grid(title, step.kernel, lambda _row, _column: ("", "yellow"), width=UNLIMITED)


def _width(grid: list[Text]) -> int:
    return max(line.cell_len for line in grid)


def _grid(
    title: str,
    numbers: NDArray[Any],
    look: Callable[[int, int], tuple[str, str]],
    *,
    focus: tuple[tuple[int, ...], tuple[int, ...]] = ((0,), (0,)),
    width: int,
) -> list[Text]:
    """Lines of a grid; `look` gives a cell's signs (`[]` marks it, `·` or `?` stand for the number) and its style."""
    texts = [[bare(number) for number in row] for row in numbers]
    widest = max(len(text) for row in texts for text in row)
    rows = _seen(numbers.shape[0], focus[0], MOST_ROWS)
    columns = _seen(numbers.shape[1], focus[1], max(width // (widest + 2), 3))
    lines = [Text(title)]
    for row in rows:
        line = Text()
        for column in columns:
            signs, style = look(row, column)
            stand_in = signs.replace("[]", "")
            text = (stand_in or texts[row][column]).rjust(widest)
            line.append(f"[{text}]" if "[]" in signs else f" {text} ", style=style)
        lines.append(line)
    if len(rows) < numbers.shape[0] or len(columns) < numbers.shape[1]:
        lines.append(Text(f"rows {rows[0]}–{rows[-1]}", style="dim"))
        lines.append(Text(f"columns {columns[0]}–{columns[-1]}", style="dim"))
    return lines


def _seen(cells: int, focus: Iterable[int], most: int) -> range:
    """The part of an axis that is printed: all of it, or as much as fits around the window."""
    if cells <= most:
        return range(cells)
    places = list(focus)
    middle = (places[0] + places[-1]) // 2
    first = min(max(middle - most // 2, 0), cells - most)
    return range(first, first + most)


def _side_by_side(grids: list[list[Text]]) -> list[Text]:
    widths = [_width(grid) for grid in grids]
    lines = []
    for place in range(max(map(len, grids))):
        whole = Text()
        for grid, width in zip(grids, widths, strict=True):
            line = grid[place] if place < len(grid) else Text()
            whole.append_text(line)
            whole.append(" " * (width - line.cell_len) + GAP)
        whole.rstrip()
        lines.append(whole)
    return lines
