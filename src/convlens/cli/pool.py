"""What `convlens pool` takes, and its help."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Words = Annotated[str | None, Parameter(allow_leading_hyphen=True)]
Flag = Annotated[bool, Parameter(negative="")]


def pool(
    input: Words = None,
    *,
    operation: str = "both",
    kernel: str = "2",
    stride: str | None = None,
    padding: str = "0",
    dilation: str = "1",
    ceil_mode: Flag = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
    at: str | None = None,
    step: Flag = False,
    animate: Path | None = None,
    seconds: float = 0.8,
    output: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Take the maximum or mean of each window, for the lecture's example or your own numbers and images.

    Example: convlens pool photo.png --operation max --kernel 3 --stride 2 --padding 1 --output pooled.png

    Args:
        input: Input: numbers such as '1 2 / 3 4', a .csv, .txt or .npy file, or an image (its gray values).
        operation: Operation: max, average, or both.
        kernel: Window size in cells: 2, or rows,columns.
        stride: Step between windows, in cells: 2, or rows,columns. Default: the window size.
        padding: Padding in cells, at most half the window: 1, or rows,columns, or top,bottom,left,right.
        dilation: Distance between the window's cells: 2, or rows,columns.
        ceil_mode: Also use a last window that extends beyond the edge.
        count_include_pad: Count padded cells in the average.
        divisor: Divide every sum by this number instead.
        at: Output cell to explain: row,column, counted from 0. Default: 0,0.
        step: Step through all windows; with --json, print all of them.
        animate: File to draw the sliding window to (.gif, .svg or .html).
        seconds: Seconds per window of the animation.
        output: File to write the result to: .csv, .npy or .png (.png is rounded and clipped to 0..255).
        json_: Print the result as JSON and nothing else.
    """
