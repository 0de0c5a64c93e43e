"""What `convlens convolve` takes, and its help."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

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
) -> None:
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
