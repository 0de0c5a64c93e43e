"""What is drawn where: a walk laid out as marks, which SVG, GIF and HTML then draw alike."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.arithmetic.setting_error import ArithmeticSettingError
from convlens.arithmetic.walk import Step, Walk, bare

MOST_FRAMES = 1000
LARGEST_CELL, SMALLEST_CELL, LEGIBLE_CELL = 44, 6, 22
MARGIN, TITLE, GAP, LINE, LETTER = 20, 30, 44, 22, 8.4
MOST_LINES, LEAST_WIDTH, COMFORTABLE_WIDTH = 5, 560, 1100
SIGNS = {"correlation": "⋆", "convolution": "∗", "autocorrelation": "⋆", "transposed": "∗"}


@dataclass(frozen=True)
class Mark:
    """A cell, or a text when it has no `fill`. Units are pixels.

    Attributes:
        x: left edge; for a text, where it begins or its middle.
        y: upper edge; for a text, its base line.
        size: edge of the square cell, or height of the letters.
        text: number or words.
        role: what it is, which decides its colours: input, padding, window, chosen, kernel, waiting, output, current,
            title, sum.
        corner: a small number in the lower right corner: the tap that multiplies the cell.
        shade: 0 (black) to 1 (white) for a cell too small for its number; else None.
    """

    x: float
    y: float
    size: float
    text: str
    role: str
    corner: str = ""
    shade: float | None = None


@dataclass(frozen=True)
class Scene:
    """A picture that changes: `still` is always there, `frames[i]` only at step i, `kept[i]` from step i on."""

    width: int
    height: int
    still: tuple[Mark, ...]
    frames: tuple[tuple[Mark, ...], ...]
    kept: tuple[tuple[Mark, ...], ...]


@dataclass(frozen=True)
class _Grid:
    """Where one plane of numbers lies."""

    x: float
    y: float
    cell: float
    numbers: NDArray[Any]
    shades: NDArray[Any] | None

    def mark(self, row: int, column: int, role: str, corner: str = "") -> Mark:
        shade = None if self.shades is None else float(self.shades[row, column])
        text = "" if shade is not None else bare(self.numbers[row, column])
        place = self.x + column * self.cell, self.y + row * self.cell
        return Mark(*place, self.cell, text, role, "" if shade is not None else corner, shade)

    def marks(self, role: str) -> list[Mark]:
        return [self.mark(row, column, role) for row, column in np.ndindex(self.numbers.shape)]


def scene(walk: Walk) -> Scene:
    """Lay a walk out: input on the left, kernel in the middle, output on the right, the sum underneath.

    Raises:
        ArithmeticSettingError: when it would have more than `MOST_FRAMES` frames.
    """
    if len(walk) > MOST_FRAMES:
        raise ArithmeticSettingError(
            f"the animation would have {len(walk)} frames, one for each output cell; {MOST_FRAMES} are the most: "
            "use a smaller input or a larger stride"
        )
    planes = [walk.padded] if walk.padded.ndim == 2 else list(walk.padded)
    outputs = list(walk.output.reshape(walk.shape))
    taps = [] if walk.applied_kernel is None else list(walk.applied_kernel[0])
    cell = _cell_size([planes, taps, outputs])
    tall = max(len(column) * (column[0].shape[0] * cell + TITLE) for column in (planes, taps, outputs) if column)
    inputs, kernels, results = _columns([planes, taps, outputs], cell, tall)
    right = results[-1].x + max(results[-1].numbers.shape[1] * cell, 100)
    width = int(max(right + MARGIN, LEAST_WIDTH))
    lines = [_wrapped(step.written(), width) for step in walk]
    base = MARGIN + TITLE + tall + LINE
    return Scene(
        width=width,
        height=int(base + LINE * max(map(len, lines)) + MARGIN),
        still=(*_titles(walk, inputs, kernels, results), *_still(walk, inputs, kernels, results)),
        frames=tuple(
            (*_moving(walk, step, inputs, kernels, results), *_sum_lines(lines[step.index], base)) for step in walk
        ),
        kept=tuple((results[step.output_cell[0]].mark(*step.output_cell[1:], "output"),) for step in walk),
    )


def _cell_size(columns: list[list[NDArray[Any]]]) -> float:
    """As large as is comfortable, the same for all grids."""
    across = sum(max(plane.shape[1] for plane in planes) for planes in columns if planes)
    down = max(sum(plane.shape[0] for plane in planes) for planes in columns if planes)
    room = COMFORTABLE_WIDTH - 2 * MARGIN - 2 * GAP
    return float(max(SMALLEST_CELL, min(LARGEST_CELL, room // across, COMFORTABLE_WIDTH // down)))


def _columns(columns: list[list[NDArray[Any]]], cell: float, tall: float) -> list[list[_Grid]]:
    """Put the planes of each column under each other, in the middle of the height."""
    placed, x = [], float(MARGIN)
    for planes in columns:
        grids = []
        used = sum(plane.shape[0] * cell + TITLE for plane in planes)
        y = MARGIN + TITLE + (tall - used) / 2
        for plane in planes:
            grids.append(_Grid(x, y, cell, plane, _shades(plane) if cell < LEGIBLE_CELL else None))
            y += plane.shape[0] * cell + TITLE
        if planes:
            x += max(max(plane.shape[1] for plane in planes) * cell, 100) + GAP
        placed.append(grids)
    return placed


def _shades(plane: NDArray[Any]) -> NDArray[Any]:
    numbers = np.nan_to_num(plane.astype(np.float64))
    low, high = numbers.min(), numbers.max()
    return np.full(plane.shape, 0.5) if low == high else (numbers - low) / (high - low)


def _still(walk: Walk, inputs: list[_Grid], kernels: list[_Grid], results: list[_Grid]) -> list[Mark]:
    marks = []
    for grid in inputs:
        for row, column in np.ndindex(grid.numbers.shape):
            mark = grid.mark(row, column, "input" if walk.is_input(row, column) else "padding")
            # The padding of a maximum is below every number: no zero stands there.
            blank = mark.role == "padding" and walk.operation == "max"
            marks.append(replace(mark, text="", shade=None) if blank else mark)
    for grid in kernels if walk.shape[0] == 1 else []:
        marks += grid.marks("kernel")
    for grid in results:
        marks += [replace(mark, text="", shade=None) for mark in grid.marks("waiting")]
    return marks


def _moving(walk: Walk, step: Step, inputs: list[_Grid], kernels: list[_Grid], results: list[_Grid]) -> list[Mark]:
    marks = []
    channels = range(*step.channels)
    kernel = None if step.kernel is None else step.kernel.reshape(-1, *walk.kernel_size)
    for plane, channel in enumerate(channels):
        for u, row in enumerate(step.rows):
            for v, column in enumerate(step.columns):
                if step.counted is not None and not step.counted[u, v]:
                    continue
                corner = "" if kernel is None else bare(kernel[plane, u, v])
                role = "chosen" if step.chosen == (row, column) else "window"
                marks.append(inputs[channel].mark(row, column, role, corner))
    if kernel is not None and walk.shape[0] > 1:
        for grid, taps in zip(kernels, kernel, strict=True):
            marks += replace(grid, numbers=taps).marks("kernel")
    channel, row, column = step.output_cell
    return [*marks, results[channel].mark(row, column, "current")]


def _titles(walk: Walk, inputs: list[_Grid], kernels: list[_Grid], results: list[_Grid]) -> list[Mark]:
    rows, columns = walk.x.shape[-2:]
    out_rows, out_columns = walk.output.shape[-2:]
    named = [(inputs[0], f"input {rows}×{columns}"), (results[0], f"output {out_rows}×{out_columns}")]
    if kernels:
        flipped = ", flipped" if walk.operation in ("convolution", "transposed") else ""
        named.append((kernels[0], f"kernel {walk.kernel_size[0]}×{walk.kernel_size[1]}{flipped}"))
    marks = [Mark(grid.x, grid.y - 10, 15, text, "title") for grid, text in named]
    middle = (results[0].y + results[0].numbers.shape[0] * results[0].cell / 2) + 8
    marks.append(Mark(results[0].x - GAP / 2, middle, 22, "=" if kernels else "→", "sign"))
    if kernels:
        marks.append(Mark(kernels[0].x - GAP / 2, middle, 22, SIGNS[walk.operation], "sign"))
    return marks


def _sum_lines(lines: list[str], base: float) -> list[Mark]:
    return [Mark(MARGIN, base + LINE * place, 14, line, "sum") for place, line in enumerate(lines)]


def _wrapped(written: str, width: int) -> list[str]:
    """Break a sum at its plus signs into lines that fit; drop the middle of one that is too long."""
    most = int((width - 2 * MARGIN) / LETTER)
    lines = [""]
    for term in written.replace(" + ", " +\0").replace(" = ", "\0= ").split("\0"):
        if lines[-1] and len(lines[-1]) + 1 + len(term) > most:
            lines.append("")
        lines[-1] = f"{lines[-1]} {term}".strip()
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 2], "…", lines[-1]]
    return lines
