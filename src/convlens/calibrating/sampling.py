"""The layers that are measured: drawn at random, in rows, so that each finds the caches as in a network.

A row is not a network of the catalogue, nor a scaled one: widths, sizes, kernels and the order of blocks are drawn.
"""

import random
from dataclasses import dataclass
from math import log2
from typing import Any

from convlens.calibrating.workload import Work, convolution_family

_ACTIVATIONS = ("relu", "relu", "silu", "silu", "hardtanh", "hardswish", "leaky_relu", "gelu", "tanh")
_MOST_MACS = 2_000_000_000  # of a layer
_MOST_IN_ROW = 1_000_000_000  # after which no further block begins
_BLOCKS = 7


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of a row.

    Attributes:
        work: what it computes.
        inputs: numbers of the layers whose results it takes; -1 is what goes into the row.
    """

    work: Work
    inputs: tuple[int, ...]


def draw_rows(count: int, seed: int = 0) -> list[list[Layer]]:
    """Rows of layers; the same ones for the same seed."""
    rows = [_Row(random.Random(f"{seed} {number}")) for number in range(count)]
    return [row.sundries() if number % 10 == 9 else row.draw(wide=number % 10 == 4) for number, row in enumerate(rows)]


class _Row:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.layers: list[Layer] = []
        self.norm = chance.random() < 0.85
        self.activation = chance.choice(_ACTIVATIONS)
        self.in_place = chance.random() < 0.75
        self.channels, self.place, self.last, self.macs = chance.choice((3, 3, 3, 1)), (0, 0), -1, 0

    def draw(self, *, wide: bool) -> list[Layer]:
        """A row like a network's; a wide one has many channels where the maps are large."""
        self._place(4.8, 8.1)
        if wide:
            self._convolve(self._width(32, 192), (3, 3))
            self._convolve(self._width(32, 192), (3, 3), self.chance.choice((1, 2)))
        else:
            self._stem()
        blocks = [self._plain, self._bottleneck, self._inverted, self._inverted, self._branches]
        favourite = self.chance.choice(blocks)
        for number in range(_BLOCKS):
            if self.macs > _MOST_IN_ROW:
                break
            stride = 2 if number % 2 and min(self.place) >= 6 else 1
            block = favourite if self.chance.random() < 0.6 else self.chance.choice(blocks)
            block(stride)
        self._head()
        return self.layers

    def sundries(self) -> list[Layer]:
        """What is between the layers of less usual networks."""
        for _ in range(4):
            self._place(2, 6.5)
            self.channels, self.last = self._width(16, 512), -1
            self._same("activation", "sigmoid")
            self._same("norm", "layer")
            self._same("binary", "number")
            for kind in ("copy", "nearest", "bilinear", "pad"):
                whole = self.last, self.place
                height, width = self.place
                grown = {"copy": (height, width), "pad": (height + 2, width + 2)}.get(kind, (2 * height, 2 * width))
                both = (self.channels, self.channels)
                self._add(Work(family="moved", kind=kind, channels=both, before=self.place, after=grown))
                self.last, self.place = whole
        self._vectors()
        return self.layers

    def _vectors(self) -> None:
        self.channels, self.last = self._width(256, 10_000), -1
        for _ in range(3):
            self._add(Work(family="linear", channels=(self.channels, self._width(64, 5000))))

    def _place(self, least: float, most: float) -> None:
        side = round(2 ** self.chance.uniform(least, most))
        self.place = (side, side if self.chance.random() < 0.7 else round(side * self.chance.uniform(0.6, 1.5)))

    # layers

    def _add(self, work: Work, *more: int) -> None:
        self.layers.append(Layer(work=work, inputs=(self.last, *more)))
        self.last, self.macs = len(self.layers) - 1, self.macs + work.macs
        self.channels, self.place = work.channels[1], work.after

    def _same(self, family: str, kind: str, *more: int, in_place: bool = False) -> None:
        both = (self.channels, self.channels)
        place: dict[str, Any] = {"before": self.place, "after": self.place}
        self._add(Work(family=family, kind=kind, channels=both, in_place=in_place, **place), *more)

    def _convolve(
        self, width: int, kernel: tuple[int, int], stride: int = 1, groups: int = 1, *, activate: bool = True
    ) -> None:
        after = tuple(_out(side, size, stride) for side, size in zip(self.place, kernel, strict=True))
        work = Work(
            family=convolution_family(self.channels, width, kernel, groups),
            channels=(self.channels, width),
            before=self.place,
            after=(after[0], after[1]),
            kernel=kernel,
            stride=(stride, stride),
            groups=groups,
        )
        if work.macs > _MOST_MACS:
            return
        self._add(work)
        if self.norm and self.place != (1, 1):
            self._same("norm", "batch")
        if activate:
            self._same("activation", self.activation, in_place=self.in_place)

    def _width(self, least: float = 8, most: float = 1024) -> int:
        width = 2 ** self.chance.uniform(log2(least), log2(most))
        return max(4, round(width / 8) * 8 if self.chance.random() < 0.75 else round(width))

    def _wider(self, stride: int) -> int:
        return self._width(max(8, 0.8 * self.channels), max(16, self.channels * (2.2 if stride == 2 else 1.4)))

    # blocks

    def _stem(self) -> None:
        kernel, stride = self.chance.choice(((3, 2), (3, 2), (3, 1), (5, 1), (7, 2), (4, 4), (11, 4)))
        self._convolve(self._width(8, 96), (kernel, kernel), stride if min(self.place) > 20 else 1)
        if self.chance.random() < 0.35:
            self._pool(2)

    def _pool(self, stride: int) -> None:
        size = self.chance.choice((2, 3)) if stride == 2 else 3
        after = tuple(_out(side, size, stride) for side in self.place)
        window: dict[str, Any] = {"kernel": (size, size), "stride": (stride, stride)}
        channels, kind = (self.channels, self.channels), self.chance.choice(("max", "max", "average"))
        self._add(Work(family="pool", kind=kind, channels=channels, before=self.place, after=after, **window))  # type: ignore[arg-type]

    def _plain(self, stride: int) -> None:
        kernel = self.chance.choice(((3, 3), (3, 3), (3, 3), (5, 5), (1, 7), (7, 1), (2, 2)))
        if stride == 2 and self.chance.random() < 0.4:
            self._pool(2)
            stride = 1
        self._convolve(self._wider(stride), kernel, stride)
        self._convolve(self._wider(1), (3, 3))

    def _bottleneck(self, stride: int) -> None:
        begin, width = self.last, self.channels
        wide = width if stride == 1 else self._wider(2)
        inner = max(8, round(wide / self.chance.choice((1, 2, 4)) / 8) * 8)
        self._convolve(inner, (1, 1))
        groups = self.chance.choice((1, 1, 2, 8, 16, 32))
        size = self.chance.choice((8, 16, 24, 4))  # channels of a group
        groups = groups if groups == 1 or inner % groups else max(1, inner // size if inner % size == 0 else groups)
        self._convolve(inner, (3, 3), stride, groups if inner % groups == 0 else 1)
        self._convolve(wide, (1, 1), activate=False)
        self._finish(begin)

    def _inverted(self, stride: int) -> None:
        begin, width = self.last, self.channels
        wide = width if stride == 1 and self.chance.random() < 0.7 else self._wider(stride)
        inner = max(8, round(width * self.chance.choice((1, 2, 3, 4, 6)) / 8) * 8)
        if inner > 2400:
            return
        if inner != self.channels:
            self._convolve(inner, (1, 1))
        size = self.chance.choice((3, 3, 5, 5, 7))
        self._convolve(self.channels, (size, size), stride, self.channels)
        if self.chance.random() < 0.5:
            self._gate()
        self._convolve(wide, (1, 1), activate=False)
        self._finish(begin)

    def _gate(self) -> None:
        channels, place, whole = self.channels, self.place, self.last
        both = (channels, channels)
        self._add(Work(family="global", kind="mean", channels=both, before=place, after=(1, 1)))
        self._convolve(max(4, channels // self.chance.choice((4, 16, 24))), (1, 1))
        self._convolve(channels, (1, 1), activate=False)
        self._same("activation", self.chance.choice(("sigmoid", "hardsigmoid")))
        gate, self.last, self.place = self.last, whole, place
        self._same("binary", "channel", gate)

    def _branches(self, stride: int) -> None:
        """Two convolutions of the same map, joined; or one joined to its input, as dense networks do."""
        if stride == 2:
            self._pool(2)
        begin, channels, place = self.last, self.channels, self.place
        self._convolve(self._width(16, 256), (1, 1))
        if self.chance.random() < 0.6:
            self._convolve(self._width(16, 128), (3, 3))
        one, width = self.last, self.channels
        if one == begin or place != self.place:
            return
        if self.chance.random() < 0.5:
            self.last, self.channels, self.place = begin, channels, place
            self._convolve(self._width(16, 256), (1, 1))
            begin, channels = self.last, self.channels
        both = (width + channels, width + channels)
        self.last = begin
        self._add(Work(family="moved", kind="join", channels=both, before=place, after=place), one)

    def _finish(self, begin: int) -> None:
        """Add what came into the block, where it has the same shape."""
        came = self.layers[begin].work if begin >= 0 else None
        if came and begin != self.last and (came.channels[1], came.after) == (self.channels, self.place):
            self._same("binary", "same", begin)
            if self.chance.random() < 0.5:
                self._same("activation", self.activation, in_place=self.in_place)

    def _head(self) -> None:
        if self.chance.random() < 0.5:
            self._convolve(self._width(256, 1500), (1, 1))
        both = (self.channels, self.channels)
        self._add(Work(family="global", kind="mean", channels=both, before=self.place, after=(1, 1)))
        for width in [self._width(64, 4096) for _ in range(self.chance.choice((0, 0, 1)))] + [self._width(10, 1500)]:
            self._add(Work(family="linear", channels=(self.channels, width)))


def _out(side: int, kernel: int, stride: int) -> int:
    pad = kernel // 2 if kernel > 2 or side < kernel else 0
    return (side + 2 * pad - kernel) // stride + 1
