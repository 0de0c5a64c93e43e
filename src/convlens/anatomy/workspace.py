"""What a convolution on a CPU allocates for itself while it runs, beside its result.

PyTorch hands most convolutions to oneDNN, which copies input, weight and output into a layout of blocks of 16 channels;
the copies are gone when the operation ends, but an allocator sees them, and in the last stage of a residual network,
where weights are larger than maps, they are the peak. Small ones are done as a matrix product over columns instead. The
rules below were read off the allocator of torch 2.13 on x86-64; other processors differ in them, so the peak without is
told as well (`InferenceMemory.tensors`).
"""

from dataclasses import dataclass
from math import prod

from convlens.graph import Graph, Operation
from convlens.graph.operators import Convolution

_BLOCK = 16
_PLAIN_INPUT = 16  # inputs with fewer channels are read as they are
_SMALL = 20_480  # elements of a single image that is not worth a copy


def workspace(graph: Graph, operation: Operation) -> int:
    """Bytes that an operation needs beside its inputs and outputs."""
    convolution = Convolution.of(operation)
    if convolution is None or convolution.transposed:
        return 0
    x, weight, y = (graph.tensors[each] for each in (convolution.input, convolution.weight, operation.outputs[0]))
    return forward_workspace(
        x.shape,
        weight.shape,
        y.shape,
        stride=convolution.stride,
        padding=convolution.padding,
        groups=convolution.groups,
        itemsize=y.dtype.itemsize,
    )


Shape = tuple[int, ...]


def forward_workspace(
    x: Shape, weight: Shape, y: Shape, *, stride: Shape, padding: Shape, groups: int, itemsize: int
) -> int:
    """Bytes that a convolution needs beside its inputs and output."""
    if len(x) != 4 or _direct(weight, stride, padding):
        return 0
    if _by_columns(x, weight, groups):
        return itemsize * prod(weight[1:]) * prod(y[2:])
    blocks = _blocked(x, weight, y, groups)
    copies, result = blocks.x + blocks.weight, blocks.y
    return itemsize * max(copies + result - prod(y), result)


def backward_workspace(
    x: Shape, weight: Shape, y: Shape, *, stride: Shape, padding: Shape, groups: int, itemsize: int
) -> int:
    """Bytes that the gradient of a convolution needs beside its inputs and outputs."""
    if len(x) != 4 or _direct(weight, stride, padding):
        return 0
    if _by_columns(x, weight, groups):
        return itemsize * prod(weight[1:]) * prod(y[2:])
    blocks = _blocked(x, weight, y, groups)
    return itemsize * max(blocks.y + blocks.x + blocks.weight - prod(weight), blocks.y + blocks.weight)


@dataclass(frozen=True)
class _Blocks:
    """Elements of input, weight and output in blocks of channels; an input that is read as it is counts 0."""

    x: int
    weight: int
    y: int


def _blocked(x: Shape, weight: Shape, y: Shape, groups: int) -> _Blocks:
    into, out = weight[1] * groups, weight[0]
    plain = into < _PLAIN_INPUT
    whole = prod(weight[2:]) * _up(into) * _up(out)
    return _Blocks(
        x=0 if plain else prod(x) * _up(into) // into,
        weight=prod(weight) if groups > 1 or plain else whole,
        y=prod(y) * _up(out) // out,
    )


def _up(channels: int) -> int:
    return -(-channels // _BLOCK) * _BLOCK


def _direct(weight: Shape, stride: Shape, padding: Shape) -> bool:
    """A 1 × 1 convolution without stride is a matrix product on the tensors as they are."""
    return weight[2:] == (1, 1) and set(stride) == {1} and set(padding) == {0}


def _by_columns(x: Shape, weight: Shape, groups: int) -> bool:
    return groups == 1 and min(weight[2:]) <= 3 and x[0] == 1 and prod(x) <= _SMALL
