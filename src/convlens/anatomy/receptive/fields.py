"""All receptive fields of a graph, worked out once and asked for by name."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from convlens.anatomy.receptive.axes import image_axes
from convlens.anatomy.receptive.field import Field
from convlens.anatomy.receptive.fixed import without_fixed
from convlens.anatomy.receptive.region_reading import (
    Map,
    checked_unit,
    each,
    everywhere,
    in_order,
    map_of,
    pattern,
    region,
)
from convlens.anatomy.receptive.result import ReceptiveField
from convlens.anatomy.receptive.trace import Trace
from convlens.errors import ConvlensError, unknown_name
from convlens.graph import Graph
from convlens.graph.structure import refs


@dataclass(frozen=True)
class Places:
    """A tensor's shape, with dimensions split where they hold several axes, and which of the sizes are places."""

    sizes: tuple[int, ...]
    axes: tuple[int, ...]


class ReceptiveFields:
    """The receptive fields of every tensor of a graph with respect to its inputs."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    @cached_property
    def _everything(self) -> Trace:
        return Trace(self.graph, self._image_axes)

    @cached_property
    def _local(self) -> Trace:
        return Trace(self.graph, self._image_axes, whole=self._everything)

    @cached_property
    def _image_axes(self) -> dict[int, tuple[int, ...]]:
        return {number: image_axes(self.graph, number) for number in range(len(self.graph.inputs))}

    def of(self, at: str, unit: Sequence[int] | None = None, source: int = 0) -> ReceptiveField:
        """The field of one unit of the tensor named `at`, with respect to input number `source`."""
        whole = self._one(self._everything, at, unit, source)
        gateless = self._one(self._local, at, unit, source)
        if gateless == whole:
            return whole
        gateless = replace(gateless, whole=whole)
        return replace(whole, gateless=gateless)

    def _field(self, trace: Trace, at: str) -> tuple[Field, int]:
        """The field of the tensor that `at` names, as it was when the module or operation ended."""
        call, tensor = self.tensor(at)
        if call is not None and tensor in trace.returned[call]:
            return without_fixed(trace.returned[call][tensor]), tensor
        return without_fixed(trace.made[tensor]), tensor

    def _one(self, trace: Trace, at: str, unit: Sequence[int] | None, source: int) -> ReceptiveField:
        axes, image = self._axes(source)
        found, tensor = self._field(trace, at)
        shape = self.graph.tensors[tensor].shape
        places = map_of(found)
        place = checked_unit(places, shape, unit, at)
        patterns = [pattern(places, source, axis, length) for axis, length in zip(axes, image, strict=True)]
        word = next((one.word for one in patterns if one.word), "")
        if not word and not in_order(places, source, axes):
            word = "transposed"
        return ReceptiveField(
            at=at,
            unit=place,
            runs=region(places, place, source, axes),
            image=image,
            size=each(patterns, "size"),
            stride=None if word else each(patterns, "stride"),
            offset=None if word else each(patterns, "offset"),
            regular=not word,
            word=word,
            bounds=tuple(sorted(found.bounds)),
        )

    def regions(
        self, at: str, source: int = 0, *, local: bool = False
    ) -> list[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        """For each input axis two arrays over the places of the map: first and last index of every unit."""
        trace = self._local if local else self._everything
        found, _ = self._field(trace, at)
        places: Map = map_of(found)
        return [everywhere(places, source, axis) for axis in self._axes(source)[0]]

    def places(self, at: str) -> Places:
        """How the tensor named `at` is laid out, and where in that the places of its map are."""
        found = map_of(self._field(self._everything, at)[0])
        return Places(tuple(found.field.sizes), found.places)

    def image_axes(self, source: int = 0) -> tuple[int, ...]:
        """The axes of an input along which rows and columns lie."""
        return self._axes(source)[0]

    def _axes(self, source: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        if not 0 <= source < len(self.graph.inputs):
            raise ConvlensError(f"input {source} does not exist; there are {len(self.graph.inputs)}, counted from 0")
        shape = self.graph.tensors[self.graph.inputs[source]].shape
        axes = self._image_axes[source]
        if not axes:
            raise ConvlensError(f"an input of shape {shape} has no rows and columns, so nothing has a receptive field")
        return axes, tuple(shape[axis] for axis in axes)

    def tensor(self, at: str) -> tuple[int | None, int]:
        """The module call, if it is one, and the tensor that a path or an operation's name stands for.

        `path:1` is the second tensor that a module returns; of a module that runs several times it is the first call.
        """
        path, colon, number = at.rpartition(":")
        if not colon or not number.isdigit():
            path, number = at, ""
        calls = self.graph.calls_of(path)
        operation = self.graph.operation(path)
        if calls and calls[0].finished:
            return calls[0].index, self._pick(list(refs(calls[0].results)), at, number)
        if operation is not None:
            return None, self._pick(list(operation.outputs[:1] if not number else operation.outputs), at, number)
        if path in self.graph.modules or path in self.graph.aliases:
            raise ConvlensError(f"module {path!r} did not run in this forward pass; ask about one that did")
        raise unknown_name("module or operation", at, self._names())

    def _pick(self, found: list[int], at: str, number: str) -> int:
        if number and int(number) < len(found):
            return found[int(number)]
        if len(found) == 1 and not number:
            return found[0]
        if not found:
            raise ConvlensError(f"{at!r} returns no tensor, so it has no receptive field")
        choices = ", ".join(f"{at.rpartition(':')[0] if number else at}:{i}" for i in range(len(found)))
        raise ConvlensError(f"{at!r} stands for {len(found)} tensors; name one: {choices}")

    def _names(self) -> list[str]:
        called = [call.path for call in self.graph.calls if call.path]
        return [*dict.fromkeys(called), *(operation.name for operation in self.graph.operations)]
