"""The same sums one window at a time: what the command, the animation and the web page show."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from convlens.arithmetic.padding import NO_SOURCE


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One window of a convolution or a pooling, and the one output cell that it gives.

    Attributes:
        index: 0, 1, 2, … in reading order, channel by channel.
        output_cell: (channel, row, column) in the output.
        position: (row, column) of the window's first tap, in the padded input.
        rows: the padded row of every tap, `(kH,)`; dilation spreads them.
        columns: the padded column of every tap, `(kW,)`.
        channels: (first, one past the last) input channel that is read; `groups` narrow it.
        input_patch: the numbers under the window, `(C, kH, kW)`, or `(kH, kW)` when the input is one channel.
        kernel: the numbers they are multiplied by, flipped already for a convolution; None for a pooling.
        products: patch times kernel; None for a pooling.
        counted: which numbers of the patch a pooling takes; None for a convolution.
        chosen: (row, column) of the maximum, in the padded input; None where nothing is chosen.
        sum: the sum of the products, or of the counted numbers; None for a maximum.
        bias: what is added to the sum; None where there is none.
        divisor: what the sum is divided by; None unless it is a mean.
        output: the number in the output cell.
    """

    index: int
    output_cell: tuple[int, int, int]
    position: tuple[int, int]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    channels: tuple[int, int]
    input_patch: NDArray[Any]
    output: Any
    kernel: NDArray[Any] | None = None
    products: NDArray[Any] | None = None
    counted: NDArray[np.bool_] | None = None
    chosen: tuple[int, int] | None = None
    sum: Any = None
    bias: Any = None
    divisor: Any = None

    def written(self) -> str:
        """Spell the sum out: `3·0 + 3·1 + … = 12`."""
        taken = self.input_patch.ravel()
        if self.kernel is not None:
            terms = [f"{number(a)}·{number(b)}" for a, b in zip(taken, self.kernel.ravel(), strict=True)]
            terms += [number(self.bias)] if self.bias is not None else []
            return f"{' + '.join(terms)} = {bare(self.output)}"
        assert self.counted is not None  # a step has a kernel or is a pooling
        counted = taken[self.counted.ravel()]
        if self.divisor is None:
            return f"max({', '.join(map(bare, counted))}) = {bare(self.output)}"
        return f"({' + '.join(map(number, counted))}) / {number(self.divisor)} = {bare(self.output)}"

    def to_dict(self) -> dict[str, Any]:
        """Everything as numbers, lists and None, ready for JSON, and the sum `written` out."""
        return {field.name: plain(getattr(self, field.name)) for field in fields(self)} | {"written": self.written()}


@dataclass(frozen=True, kw_only=True, eq=False)
class Walk(Sequence[Step]):
    """All the windows of a layer on one image: a sequence of `Step`, computed when asked for.

    Attributes:
        operation: correlation, convolution, autocorrelation, transposed, max or average.
        x: the input, `(C, H, W)`, or `(H, W)` for one channel.
        padded: the input with its padding (and, for `transposed`, the zeros put between its cells).
        source_rows: for every padded row the input row that it copies, −1 where it is none.
        source_columns: the same for columns.
        kernel: as given, `(O, C / groups, kH, kW)` or `(kH, kW)`; None for a pooling.
        applied_kernel: as multiplied, in the shape `(O, C / groups, kH, kW)`; None for a pooling.
        kernel_size: taps (rows, columns).
        stride: cells between windows (rows, columns), on the padded input.
        dilation: cells between taps (rows, columns).
        padding: ((top, bottom), (left, right)) around the input; cells beyond that hang over (ceil_mode).
        output: what all the steps give, `(O, outH, outW)`, or `(outH, outW)` for one channel.
    """

    operation: str
    x: NDArray[Any]
    padded: NDArray[Any]
    source_rows: NDArray[np.intp]
    source_columns: NDArray[np.intp]
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    output: NDArray[Any]
    kernel: NDArray[Any] | None = None
    applied_kernel: NDArray[Any] | None = None
    bias: NDArray[Any] | None = None
    groups: int = 1
    counted: NDArray[np.bool_] | None = None
    divisors: NDArray[Any] | None = None

    def __len__(self) -> int:
        return self.output.size

    def __iter__(self) -> Iterator[Step]:
        return (self._step(index) for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> list[Step]: ...
    def __getitem__(self, index: int | slice) -> Step | list[Step]:
        if isinstance(index, slice):
            return [self._step(each) for each in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"step {index} of {len(self)}")
        return self._step(index % len(self))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, rows, columns) of the output."""
        channels, rows, columns = (1, *self.output.shape)[-3:]
        return channels, rows, columns

    def is_input(self, row: int, column: int) -> bool:
        """Whether a padded cell is one of the input's own: no padding, no zero in between, no copy."""
        (top, _), (left, _) = self.padding
        sources, places = (self.source_rows[row], self.source_columns[column]), (row - top, column - left)
        if self.operation == "transposed":  # stretched: the input's cells are no longer where they were
            return bool(min(sources) != NO_SOURCE)
        return bool(min(sources) != NO_SOURCE and sources == places)

    def to_dict(self, *, with_steps: bool = True) -> dict[str, Any]:
        """Everything as numbers, lists and None, ready for JSON; `steps` holds every step unless switched off."""
        hidden = {"counted", "divisors"}
        settings = {field.name: plain(getattr(self, field.name)) for field in fields(self) if field.name not in hidden}
        return settings | ({"steps": [step.to_dict() for step in self]} if with_steps else {})

    def _step(self, index: int) -> Step:
        channel, row, column = (int(i) for i in np.unravel_index(index, self.shape))
        top, left = row * self.stride[0], column * self.stride[1]
        rows = tuple(top + tap * self.dilation[0] for tap in range(self.kernel_size[0]))
        columns = tuple(left + tap * self.dilation[1] for tap in range(self.kernel_size[1]))
        channels = self._channels_read(channel)
        planes = self.padded if self.padded.ndim == 2 else self.padded[slice(*channels)]
        patch = planes[..., np.array(rows)[:, None], np.array(columns)]
        where: dict[str, Any] = {"index": index, "output_cell": (channel, row, column), "position": (top, left)}
        where |= {"rows": rows, "columns": columns, "channels": channels, "input_patch": patch}
        output = self.output.reshape(self.shape)[channel, row, column]
        if self.applied_kernel is not None:
            return Step(**where, output=output, **self._product(channel, patch))
        return Step(**where, output=output, **self._pooling(row, column, patch, rows, columns))

    def _channels_read(self, channel: int) -> tuple[int, int]:
        """Which input channels an output channel reads."""
        if self.applied_kernel is None:
            return channel, channel + 1
        kernels, width = self.applied_kernel.shape[:2]
        group = channel // (kernels // self.groups)
        return group * width, (group + 1) * width

    def _product(self, channel: int, patch: NDArray[Any]) -> dict[str, Any]:
        assert self.applied_kernel is not None  # only called for a convolution
        kernel = self.applied_kernel[channel].reshape(patch.shape)
        products = patch * kernel
        bias = None if self.bias is None else self.bias[channel]
        return {"kernel": kernel, "products": products, "sum": products.sum(), "bias": bias}

    def _pooling(
        self, row: int, column: int, patch: NDArray[Any], rows: tuple[int, ...], columns: tuple[int, ...]
    ) -> dict[str, Any]:
        assert self.counted is not None  # only called for a pooling
        plane = patch.reshape(patch.shape[-2:])
        counted = self.counted[np.array(rows)[:, None], np.array(columns)]
        if self.divisors is not None:
            return {"counted": counted, "sum": plane[counted].sum(), "divisor": self.divisors[row, column]}
        # argmax takes the first of equals and a NaN before all, as torch does.
        candidates = np.argwhere(counted)
        row_tap, column_tap = candidates[np.argmax(plane[counted])] if len(candidates) else (0, 0)
        return {"counted": counted, "chosen": (rows[row_tap], columns[column_tap])}


def plain(value: Any) -> Any:
    """Numbers, lists and None instead of arrays; what JSON has no number for (NaN, infinity) becomes None."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def number(value: Any) -> str:
    """Write a number as in a sum: at most four significant digits, negative ones in brackets.

    >>> number(-0.25), number(12), number(0.333333), number(3.0)
    ('(-0.25)', '12', '0.3333', '3')
    """
    text = str(value) if isinstance(value, int | np.integer) else f"{value:.4g}"
    return f"({text})" if text.startswith("-") else text


def bare(value: Any) -> str:
    """Write a number that stands alone: without brackets.

    >>> bare(-0.25)
    '-0.25'
    """
    return number(value).strip("()")
