"""A network on its way from a graph to a plan: layers between values, both of which may still be changed."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.errors import ConvlensError

Float = NDArray[np.float32]

BLOCK = 16  # channels that lie side by side in memory

# fields of a layer that name values which it reads besides x, as the kernels call them
READS = ("x", "other", "residual", "gate")
# fields that name values which it writes
WRITES = ("y", "pool")


class UnknownOperatorError(ConvlensError):
    """A network does something that the engine has no kernel for; the message names the operator and its place."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How whole numbers 0..255 stand for real ones: step * (number - zero_point)."""

    step: float
    zero_point: int


@dataclass(frozen=True, kw_only=True)
class Value:
    """What flows between layers: (C, H, W) for one image; a vector has H = W = 1.

    Attributes:
        as_map: whether a vector's numbers have the precision of maps; they are float32 otherwise.
        scale: of a map of whole numbers.
    """

    channels: int
    height: int
    width: int
    as_map: bool = False
    scale: Scale | None = None

    @property
    def is_vector(self) -> bool:
        """Whether it has one place only."""
        return self.height == self.width == 1

    @property
    def is_wide(self) -> bool:
        """Whether its numbers are float32 in every precision."""
        return self.is_vector and not self.as_map

    def item_bytes(self, of_maps: int) -> int:
        """Bytes of a number, where those of maps have `of_maps`."""
        return 1 if self.scale is not None else 4 if self.is_wide else of_maps


@dataclass(kw_only=True)
class Layer:
    """One step: an operator of the kernels, the values that it reads and writes, its settings and its weights.

    Attributes:
        op: as the kernels call it; `arrange` is taken apart when memory is laid out.
        values: field -> number of a value: x, y, and where there are any other, residual, gate, pool.
        settings: the kernels' other fields.
        weights: the kernels' arrays, float32.
        names: of the graph's operations that it does.
    """

    op: str
    values: dict[str, int]
    settings: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, Float] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    @property
    def reads(self) -> list[int]:
        """The values that it reads."""
        return [self.values[name] for name in READS if name in self.values] + list(self.settings.get("parts", ()))

    @property
    def writes(self) -> list[int]:
        """The values that it writes."""
        return [self.values[name] for name in WRITES if name in self.values]

    @property
    def x(self) -> int:
        """The value that it works on."""
        return self.values["x"]

    @property
    def y(self) -> int:
        """The value that it makes."""
        return self.values["y"]


@dataclass(kw_only=True)
class Draft:
    """Layers in the order in which they run.

    Attributes:
        values: by number.
        layers: in order.
        input: the value that holds the images.
        outputs: the values that are the answer.
    """

    values: list[Value] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    input: int = 0
    outputs: tuple[int, ...] = ()

    def value(self, channels: int, height: int, width: int, *, as_map: bool = False) -> int:
        """Make a value and give its number."""
        self.values.append(Value(channels=channels, height=height, width=width, as_map=as_map))
        return len(self.values) - 1

    def readers(self) -> dict[int, list[Layer]]:
        """value -> the layers that read it, in order; that a value is an output is not counted."""
        table: dict[int, list[Layer]] = {}
        for layer in self.layers:
            for number in dict.fromkeys(layer.reads):
                table.setdefault(number, []).append(layer)
        return table

    def uses(self) -> Counter[int]:
        """value -> how often it is read, being an output counted too."""
        return Counter([number for layer in self.layers for number in layer.reads] + list(self.outputs))

    def producers(self) -> dict[int, Layer]:
        """value -> the layer that makes it."""
        return {number: layer for layer in self.layers for number in layer.writes}

    def begins_with_convolutions(self) -> bool:
        """Whether only convolutions read the images, of a kind that reads them as they come."""
        readers = self.readers().get(self.input, [])
        return (
            bool(readers)
            and self.input not in self.outputs
            and self.values[self.input].channels <= BLOCK
            and all(
                layer.op == "convolution" and layer.settings["groups"] == 1 and set(layer.values) == {"x", "y"}
                for layer in readers
            )
        )

    def drop_unused(self) -> None:
        """Leave out layers whose results nobody reads."""
        needed, kept = set(self.outputs), []
        for layer in reversed(self.layers):
            if needed.intersection(layer.writes):
                if "pool" in layer.values and layer.values["pool"] not in needed:
                    del layer.values["pool"]
                needed.update(layer.reads)
                kept.append(layer)
        self.layers = kept[::-1]
