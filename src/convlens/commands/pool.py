"""`convlens pool`: what a pooling keeps, window by window."""

from pathlib import Path

from convlens.arithmetic import pool_steps
from convlens.arithmetic.grids import LECTURE_POOLING
from convlens.arithmetic.stepping import POOLINGS
from convlens.commands.layer_settings import input_from, padding_from, pair_from
from convlens.commands.walking import check_files, finish
from convlens.errors import ConvlensError, unknown_name


def pool(
    input: str | None, *, operation: str, kernel: str, stride: str | None, padding: str, dilation: str,
    ceil_mode: bool, count_include_pad: bool, divisor: int | None, at: str | None, step: bool, animate: Path | None,
    seconds: float, output: Path | None, json_: bool
) -> int:  # fmt: skip
    """Take the maximum or mean of each window, for the lecture's example or your own numbers and images."""
    check_files(output, animate)
    if operation not in (*POOLINGS, "both"):
        raise unknown_name("pooling", operation, (*POOLINGS, "both"))
    asked = POOLINGS if operation == "both" else (operation,)
    if len(asked) > 1 and (step or animate or output):
        raise ConvlensError("--step, --animate and --output show one operation; add --operation max or average")
    around = padding_from(padding)
    if isinstance(around, str):
        raise ConvlensError(f"padding is {around!r}; a pooling takes numbers")
    x = input_from(LECTURE_POOLING if input is None else input)
    between = None if stride is None else pair_from("stride", stride)
    walks = [
        pool_steps(
            x, pair_from("kernel", kernel), operation=each, stride=between, padding=around,
            dilation=pair_from("dilation", dilation), ceil_mode=ceil_mode,
            count_include_pad=count_include_pad, divisor_override=divisor,
        )
        for each in asked
    ]  # fmt: skip
    return finish(walks, at=at, step=step, animate=animate, seconds=seconds, output=output, as_json=json_)
