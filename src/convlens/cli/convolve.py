"""`convlens convolve`: what a convolutional layer computes, number by number."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from convlens.errors import ConvlensError

if TYPE_CHECKING:
    from convlens.arithmetic import Walk

Words = Annotated[str | None, Parameter(allow_leading_hyphen=True)]
Flag = Annotated[bool, Parameter(negative="")]


def convolve(
    input: Words = None,
    kernel: Words = None,
    *,
    operation: str = "correlation",
    stride: str = "1",
    padding: str | None = None,
    padding_mode: str = "zeros",
    dilation: str = "1",
    bias: float | None = None,
    transposed: Flag = False,
    output_padding: str = "0",
    at: str | None = None,
    step: Flag = False,
    animate: Path | None = None,
    seconds: float = 0.8,
    output: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Slide a kernel over an input and show each sum, for the lecture's example or your own numbers and images.

    Example: convlens convolve --input "1 2 3 / 4 5 6 / 7 8 9" --kernel sobel --padding 1 --animate slide.gif

    Args:
        input: Input: numbers such as '1 2 3 / 4 5 6', a .csv, .txt or .npy file, or an image (its gray values).
        kernel: Numbers, a file, or a name: identity, shift, blur, gaussian, gaussian5, sharpen, edges, laplacian,
            sobel, sobel-rows, prewitt, prewitt-rows, scharr, roberts, emboss, lecture.
        operation: Operation: correlation (as in network layers), convolution (kernel flipped), or autocorrelation (no
            kernel).
        stride: Step between windows, in cells: 2, or rows,columns.
        padding: Padding in cells: 1, or rows,columns, or top,bottom,left,right, or valid, same, full. Default: full for
            an autocorrelation, otherwise 0.
        padding_mode: Values of the padding: zeros, reflect, replicate or circular.
        dilation: Distance between kernel taps, in cells: 2, or rows,columns.
        bias: Number added to every sum.
        transposed: Compute the transposed convolution.
        output_padding: Extra rows and columns at the bottom and right of a transposed convolution's output.
        at: Output cell to explain: row,column, counted from 0. Default: 0,0.
        step: Step through all windows; with --json, print all of them.
        animate: File to draw the sliding kernel to (.gif, .svg or .html).
        seconds: Seconds per window of the animation.
        output: File to write the result to: .csv, .npy or .png (.png is rounded and clipped to 0..255).
        json_: Print the result as JSON and nothing else.
    """
    from convlens.arithmetic.grids import LECTURE_INPUT, LECTURE_KERNEL
    from convlens.cli.layer_settings import input_from, kernel_from, pair_from
    from convlens.cli.walking import check_files, finish

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
) -> "tuple[Walk, tuple[str, str]]":
    from convlens.arithmetic import steps
    from convlens.arithmetic.geometry import written_output_size
    from convlens.cli.layer_settings import padding_from

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
) -> "tuple[Walk, tuple[str, str]]":
    from convlens.arithmetic import transposed_steps
    from convlens.arithmetic.geometry import written_transposed_size
    from convlens.cli.layer_settings import padding_from

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
