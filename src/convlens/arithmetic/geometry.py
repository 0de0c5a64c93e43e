"""Sizes and costs of a layer, one axis at a time: every function is its formula."""

from convlens.arithmetic.setting_error import ArithmeticSettingError
from convlens.errors import unknown_name

# One axis: the same on both sides, (before, after), or a rule.
AxisPadding = int | tuple[int, int] | str

PADDING_RULES = ("valid", "same", "full")


def dilated_extent(kernel_size: int, dilation: int = 1) -> int:
    """Width that a dilated kernel spans: `dilation · (kernel_size − 1) + 1`.

    >>> dilated_extent(3, dilation=2)
    5
    """
    return dilation * (kernel_size - 1) + 1


def same_padding(kernel_size: int, dilation: int = 1) -> tuple[int, int]:
    """Zeros (before, after) that keep the size at stride 1: `dilation · (kernel_size − 1)`, halved.

    An even kernel has an odd total; the odd one goes after, as in torch.

    >>> same_padding(5), same_padding(4), same_padding(3, dilation=4)
    ((2, 2), (1, 2), (4, 4))
    """
    total = dilated_extent(kernel_size, dilation) - 1
    return total // 2, total - total // 2


def full_padding(kernel_size: int, dilation: int = 1) -> tuple[int, int]:
    """Zeros (before, after) with which every overlap counts: `dilation · (kernel_size − 1)` on both sides.

    >>> full_padding(3)
    (2, 2)
    """
    total = dilated_extent(kernel_size, dilation) - 1
    return total, total


def axis_padding(padding: AxisPadding, kernel_size: int, dilation: int = 1) -> tuple[int, int]:
    """Padding (before, after) of one axis from a number, a pair or the rule `"valid"`, `"same"` or `"full"`.

    >>> axis_padding("same", 3), axis_padding(2, 3), axis_padding((0, 1), 3)
    ((1, 1), (2, 2), (0, 1))
    """
    if isinstance(padding, str):
        rules = {
            "valid": (0, 0),
            "same": same_padding(kernel_size, dilation),
            "full": full_padding(kernel_size, dilation),
        }
        if padding not in rules:
            raise unknown_name("padding", padding, PADDING_RULES)
        return rules[padding]
    before, after = padding if isinstance(padding, tuple) else (padding, padding)
    if min(before, after) < 0:
        raise ArithmeticSettingError(f"padding is {padding!r}; use numbers that are 0 or more")
    return before, after


def output_size(size: int, kernel_size: int, *, stride: int = 1, padding: AxisPadding = 0, dilation: int = 1) -> int:
    """Cells that a convolution gives: `⌊(size + before + after − dilation · (kernel_size − 1) − 1) / stride⌋ + 1`.

    Raises:
        ArithmeticSettingError: when the kernel does not fit into the padded input.

    >>> output_size(5, 3), output_size(224, 7, stride=2, padding=3), output_size(32, 3, padding="same", dilation=2)
    (3, 112, 32)
    """
    _check_positive(kernel_size=kernel_size, stride=stride, dilation=dilation)
    before, after = axis_padding(padding, kernel_size, dilation)
    room = size + before + after - dilated_extent(kernel_size, dilation)
    if room < 0:
        raise _does_not_fit(size, kernel_size, before + after, dilation)
    return room // stride + 1


def written_output_size(
    size: int, kernel_size: int, *, stride: int = 1, padding: AxisPadding = 0, dilation: int = 1
) -> str:
    """Write the formula of `output_size` with its numbers.

    >>> written_output_size(5, 3, stride=2, padding=1)
    '⌊(5 + 1 + 1 − 1·(3 − 1) − 1) / 2⌋ + 1 = 3'
    """
    before, after = axis_padding(padding, kernel_size, dilation)
    cells = output_size(size, kernel_size, stride=stride, padding=padding, dilation=dilation)
    return f"⌊({size} + {before} + {after} − {dilation}·({kernel_size} − 1) − 1) / {stride}⌋ + 1 = {cells}"


def written_transposed_size(
    size: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: AxisPadding = 0,
    output_padding: int = 0,
    dilation: int = 1,
) -> str:
    """Write the formula of `transposed_size` with its numbers.

    >>> written_transposed_size(7, 4, stride=2, padding=1)
    '(7 − 1)·2 − 1 − 1 + 1·(4 − 1) + 1 + 0 = 14'
    """
    before, after = axis_padding(padding, kernel_size, dilation)
    cells = transposed_size(
        size, kernel_size, stride=stride, padding=padding, output_padding=output_padding, dilation=dilation
    )
    return (
        f"({size} − 1)·{stride} − {before} − {after} + {dilation}·({kernel_size} − 1) + 1 + {output_padding} = {cells}"
    )


def pooled_size(
    size: int,
    kernel_size: int,
    *,
    stride: int | None = None,
    padding: AxisPadding = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
) -> int:
    """Cells that a pooling gives; with `ceil_mode` the division rounds up, and a last window must begin inside.

    "Inside" is the input with the padding before it: a window that begins in the padding after it is dropped.

    >>> pooled_size(5, 2), pooled_size(5, 2, ceil_mode=True), pooled_size(112, 3, stride=2, padding=1)
    (2, 3, 56)
    """
    step = kernel_size if stride is None else stride
    _check_positive(kernel_size=kernel_size, stride=step, dilation=dilation)
    before, after = axis_padding(padding, kernel_size, dilation)
    room = size + before + after - dilated_extent(kernel_size, dilation)
    if not ceil_mode:
        return output_size(size, kernel_size, stride=step, padding=(before, after), dilation=dilation)
    cells = -(-room // step) + 1
    if (cells - 1) * step >= size + before:
        cells -= 1
    if cells < 1:
        raise _does_not_fit(size, kernel_size, before + after, dilation)
    return cells


def transposed_size(
    size: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: AxisPadding = 0,
    output_padding: int = 0,
    dilation: int = 1,
) -> int:
    """Cells of a transposed convolution.

    `(size − 1) · stride − before − after + dilation · (kernel_size − 1) + 1 + output_padding`.

    >>> transposed_size(7, 4, stride=2, padding=1)
    14
    """
    _check_positive(kernel_size=kernel_size, stride=stride, dilation=dilation)
    before, after = axis_padding(padding, kernel_size, dilation)
    cells = (size - 1) * stride - before - after + dilated_extent(kernel_size, dilation) + output_padding
    if cells < 1:
        raise ArithmeticSettingError(
            f"the transposed convolution of {size} cells would give {cells}: padding {before} + {after} cuts "
            "everything away; use less padding or a larger input"
        )
    return cells


def parameters(
    in_channels: int, out_channels: int, kernel_size: tuple[int, int], *, groups: int = 1, bias: bool = True
) -> int:
    """Numbers that a convolution learns: `out · (in / groups) · kH · kW`, and `out` more for the bias.

    >>> parameters(3, 64, (7, 7), bias=False), parameters(32, 32, (3, 3), groups=32)
    (9408, 320)
    """
    rows, columns = kernel_size
    return out_channels * (in_channels // groups) * rows * columns + (out_channels if bias else 0)


def macs(
    in_channels: int,
    out_channels: int,
    kernel_size: tuple[int, int],
    output: tuple[int, int],
    *,
    groups: int = 1,
) -> int:
    """Multiply-adds (MAC) of a convolution for one image: `out · outH · outW · (in / groups) · kH · kW`.

    A MAC is one multiplication and one addition, so it is two FLOPs. The bias is not counted.

    >>> macs(3, 64, (7, 7), (112, 112))
    118013952
    """
    return parameters(in_channels, out_channels, kernel_size, groups=groups, bias=False) * output[0] * output[1]


def _check_positive(**settings: int) -> None:
    for name, value in settings.items():
        if value < 1:
            raise ArithmeticSettingError(f"{name} is {value!r}; use a whole number of at least 1")


def _does_not_fit(size: int, kernel_size: int, padding: int, dilation: int) -> ArithmeticSettingError:
    extent = dilated_extent(kernel_size, dilation)
    return ArithmeticSettingError(
        f"a kernel of {kernel_size} cells with dilation {dilation} spans {extent}, but the input has only "
        f"{size} + {padding} of padding; use a larger input, more padding, or a smaller kernel or dilation"
    )
