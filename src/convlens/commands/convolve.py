"""`convlens convolve`: what a convolutional layer computes, number by number."""

from pathlib import Path
from typing import Any

from convlens.arithmetic import Walk, steps, transposed_steps
from convlens.arithmetic.geometry import written_output_size, written_transposed_size
from convlens.arithmetic.grids import LECTURE_INPUT, LECTURE_KERNEL
from convlens.commands.layer_settings import input_from, kernel_from, padding_from, pair_from
from convlens.commands.walking import check_files, finish
from convlens.errors import ConvlensError


def convolve(
    input: str | None, kernel: str | None, *, operation: str, stride: str, padding: str | None, padding_mode: str,
    dilation: str, bias: float | None, transposed: bool, output_padding: str, at: str | None, step: bool,
    animate: Path | None, seconds: float, output: Path | None, json_: bool
) -> int:  # fmt: skip
    """Slide a kernel over an input and show each sum, for the lecture's example or your own numbers and images."""
    check_files(output, animate)
    x = input_from(LECTURE_INPUT if input is None else input)
    taps = None
    if operation != "autocorrelation" or kernel is not None:
        taps = kernel_from(LECTURE_KERNEL if kernel is None else kernel)
    window = {"stride": pair_from("stride", stride), "dilation": pair_from("dilation", dilation)}
    if transposed:
        _refuse_beside_transposed(operation, padding_mode)
        window["output_padding"] = pair_from("output_padding", output_padding)
        walk, formulas = _transposed(x, taps, _shortest(bias), padding or "0", window)
    elif output_padding != "0":
        raise ConvlensError(f"output_padding is {output_padding!r}, but only --transposed takes it; add that")
    else:
        around = padding or ("full" if operation == "autocorrelation" else "0")
        walk, formulas = _walk(x, taps, _shortest(bias), operation, around, padding_mode, window)
    return finish(
        [walk], formulas=formulas, at=at, step=step, animate=animate, seconds=seconds, output=output, as_json=json_
    )


def _walk(
    x: Any, kernel: Any, bias: float | None, operation: str, padding: str, padding_mode: str, window: dict[str, Any]
) -> tuple[Walk, tuple[str, str]]:
    walk = steps(
        x, kernel, bias, operation=operation, padding=padding_from(padding), padding_mode=padding_mode, **window
    )
    rows, columns = (
        written_output_size(
            x.shape[axis], walk.kernel_size[axis], stride=walk.stride[axis], padding=walk.padding[axis],
            dilation=walk.dilation[axis],
        )
        for axis in (0, 1)
    )  # fmt: skip
    return walk, (rows, columns)


def _transposed(
    x: Any, kernel: Any, bias: float | None, padding: str, window: dict[str, Any]
) -> tuple[Walk, tuple[str, str]]:
    sides = padding_from(padding)
    if isinstance(sides, str):
        raise ConvlensError(f"padding is {sides!r}; a transposed convolution takes numbers")
    walk = transposed_steps(x, kernel, bias, padding=sides, **window)
    rows, columns = (
        written_transposed_size(
            x.shape[axis], walk.kernel_size[axis], stride=window["stride"][axis], padding=sides[axis],
            output_padding=window["output_padding"][axis], dilation=walk.dilation[axis],
        )
        for axis in (0, 1)
    )  # fmt: skip
    return walk, (rows, columns)


def _refuse_beside_transposed(operation: str, padding_mode: str) -> None:
    if operation != "correlation":
        raise ConvlensError(f"operation is {operation!r}, but --transposed is an operation of its own; leave one out")
    if padding_mode != "zeros":
        raise ConvlensError(f"padding_mode is {padding_mode!r}; a transposed convolution knows zeros only")


def _shortest(bias: float | None) -> float | None:
    """A whole bias as an integer, so that whole numbers stay whole."""
    return int(bias) if bias is not None and bias.is_integer() else bias
