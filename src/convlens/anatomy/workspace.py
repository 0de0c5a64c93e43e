"""What a convolution on a CPU allocates for itself while it runs, beside its result.

PyTorch hands most convolutions to oneDNN, which copies input, weight and output into a layout of blocks of 16 channels;
the copies are gone when the operation ends, but an allocator sees them, and in the last stage of a residual network,
where weights are larger than maps, they are the peak. Small ones, and those in double precision, are done as a matrix
product over columns instead, and on one thread 1 × 1 kernels as a product of the tensors as they are. The rules below
were read off the allocator of torch 2.13 on x86-64; other processors differ in them, so the peak without is told as
well (`InferenceMemory.tensors`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch

from convlens.graph import Graph, Operation
from convlens.graph.operators import Convolution, arguments_of, each_axis

Shape = tuple[int, ...]
_BLOCK = 16
_PLAIN_INPUT = 16  # inputs with fewer channels are read as they are
_SMALL = 20_480  # elements of a single image that is not worth a copy
_WIDEST = 14  # columns of a kernel whose gradient is worked out in blocks; of a depthwise one 3
_SUMS = 4  # copies of a weight that its gradient is summed up in where it is not
_SUMS_LAST = 257  # the same for a depthwise kernel over maps with their channels last


def workspace(graph: Graph, operation: Operation) -> int:
    """Bytes that an operation needs beside its inputs and outputs."""
    convolution = Convolution.of(operation)
    if convolution is None:
        return 0
    x, weight, y = (graph.tensors[each] for each in (convolution.input, convolution.weight, operation.outputs[0]))
    return Layer.of(arguments_of(operation), x.shape, x.stride, weight.shape, y.shape, y.dtype).forward()


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One call of a convolution, or of a transposed one, over two axes or three; one axis counts as two.

    Attributes:
        x, weight, y: shapes; of the weight as torch has it, (C_out, C_in / groups, *kernel), the first two exchanged
            for a transposed one.
        layout: how the input lies in memory: channels "first", "last", or "otherwise", so that it is copied before.
        threads: on how many of them torch computes.
    """

    x: Shape
    weight: Shape
    y: Shape
    stride: Shape
    padding: Shape
    dilation: Shape
    transposed: bool
    groups: int
    dtype: torch.dtype
    layout: str
    threads: int

    @classmethod
    def of(
        cls, given: Mapping[str, Any], x: Shape, x_stride: Shape, weight: Shape, y: Shape, dtype: torch.dtype
    ) -> "Layer":
        """From the arguments of `aten.convolution` or its gradient, by name, and the shapes of its tensors."""
        axes = len(x) - 2
        geometry = {name: each_axis(given[name], axes) for name in ("stride", "padding", "dilation")}
        layout = _layout(x, x_stride)
        if axes == 1:
            x, weight, y = ((*each[:2], 1, each[2]) for each in (x, weight, y))
            geometry = {name: (0 if name == "padding" else 1, *each) for name, each in geometry.items()}
        return cls(
            x=x,
            weight=weight,
            y=y,
            transposed=bool(given["transposed"]),
            groups=int(given["groups"]),
            dtype=dtype,
            layout=layout,
            threads=torch.get_num_threads(),
            **geometry,
        )

    def forward(self) -> int:
        """Bytes that it needs beside its inputs and output."""
        if self._by_columns:
            return self._bytes(self._columns + (prod(self.y) if self.groups > 1 else 0))
        y = prod(self.y)
        if self.layout == "last":
            return self._bytes(prod(self.weight) * (1 if self._depthwise or self._pointwise else 2))
        copies = self._blocks_of_x + self._blocks_of_weight + self._blocks_of_y
        if self.transposed:
            plain = self.groups > 1 or set(self.dilation) != {1}
            return self._bytes(y if plain else max(2 * y, copies))
        return self._bytes(max(copies - y, self._blocks_of_y) + self._gathered)

    def backward(self, *, of_input: bool = True) -> int:
        """Bytes that its gradients need beside its inputs and outputs; `of_input`: the input's is worked out too."""
        x, weight = prod(self.x), prod(self.weight)
        if self._by_columns:
            lists = x + weight if self.groups > 1 else 0
            shown = x - weight if self._unmoved and len(self.x) == 5 and of_input else 0
            return self._bytes(max(self._columns + lists, shown))
        if self.layout == "last":
            return self._bytes(
                weight * (_SUMS_LAST if self._depthwise and self._summed else 2 if self._pointwise else 3)
            )
        if self._summed:
            own = (self._columns + _SUMS * weight) * (self.threads if self.groups == 1 else 1)
        else:
            whole = self._blocks_of_weight
            own = max(self._blocks_of_y + self._blocks_of_x + whole - weight + self._gathered, whole)
        if not of_input:
            return self._bytes(own)
        strided = max(self.stride) > 1
        result = x if self._plain and strided else self._up(x, self._into)
        before = max(
            self._blocks_of_y + self._blocks_of_weight + result, (3 if strided and self.groups == 1 else 2) * x
        )
        return self._bytes(max(own, before - x - weight))

    # Which way it is computed

    @property
    def _by_columns(self) -> bool:
        if self.dtype == torch.float64:
            return True
        if self.dtype != torch.float32:
            return False
        kernel, images = self.weight[2:], self.x[0]
        moved = set(self.stride) | set(self.dilation) != {1} or kernel[-2:] != (1, 1)
        large = self.groups > 1 or min(kernel[-2:]) > 3 or images > 1 or prod(self.x[:4]) > _SMALL
        return not (large and (moved or images >= 16 or self.threads > 1))

    @property
    def _unmoved(self) -> bool:
        """Whether its columns are its input as it is."""
        return self._pointwise and set(self.stride) == {1} and set(self.padding) == {0} and not self.transposed

    @property
    def _columns(self) -> int:
        """Elements of the columns: of one image at a time where the kernel is dilated or transposed."""
        if self._unmoved:
            return 0
        one = prod(self.weight[1:]) * prod((self.x if self.transposed else self.y)[2:])
        together = self._by_columns and not self.transposed and set(self.dilation) == {1}
        return one * self.x[0] if together else one

    @property
    def _summed(self) -> bool:
        """Whether the weight's gradient is a sum of products over columns, instead of blocks of 16 channels."""
        wide = self.weight[-1] > _WIDEST
        if self._depthwise:
            return self.weight[-1] > 3 or set(self.dilation) != {1}
        channels = (self._into // self.groups, self._out // self.groups)
        return wide or (self.groups > 1 and any(each % 8 for each in channels))

    # Elements of the copies in blocks of channels

    @property
    def _into(self) -> int:
        return self.x[1]

    @property
    def _out(self) -> int:
        return self.y[1]

    @property
    def _depthwise(self) -> bool:
        return self.groups > 1 and self.groups == self._into == self._out

    @property
    def _pointwise(self) -> bool:
        return set(self.weight[2:]) == {1}

    @property
    def _plain(self) -> bool:
        return self.groups == 1 and self._into < _PLAIN_INPUT

    @property
    def _blocks_of_x(self) -> int:
        return 0 if self._plain else self._up(prod(self.x), self._into)

    @property
    def _blocks_of_y(self) -> int:
        return self._up(prod(self.y), self._out)

    @property
    def _blocks_of_weight(self) -> int:
        whole = self._up(prod(self.weight), self._out)
        return whole if self._plain or self.groups > 1 else self._up(whole, self._into)

    def _up(self, elements: int, channels: int) -> int:
        """The elements with their channels filled up to whole blocks; groups are left as they are."""
        if self.groups > 1 and not self._depthwise:
            return elements
        return elements // channels * (-(-channels // _BLOCK) * _BLOCK)

    @property
    def _gathered(self) -> int:
        """What a strided 1 × 1 kernel over two axes reads, put side by side."""
        strided = self._pointwise and max(self.stride) > 1 and len(self.x) == 4 and self.groups == 1
        return self.threads * self._up(self._into, self._into) * prod(self.y[2:]) if strided else 0

    def _bytes(self, elements: int) -> int:
        copied = prod(self.x) if self.layout == "otherwise" else 0
        return self.dtype.itemsize * max(0, elements + copied)


def _layout(shape: Shape, stride: Shape) -> str:
    """How a tensor lies in memory, axes of one element set aside."""

    def packed(order: Shape) -> bool:
        step = 1
        for axis in reversed(order):
            if shape[axis] > 1 and stride[axis] != step:
                return False
            step *= shape[axis]
        return True

    axes = tuple(range(len(shape)))
    if packed(axes):
        return "first"
    return "last" if len(shape) > 3 and packed((0, *axes[2:], 1)) else "otherwise"
