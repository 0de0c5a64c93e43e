"""Networks side by side: totals, and stage by stage, a stage being everything that makes maps of one size.

A block that is given maps of one size and ends in a smaller one belongs to the smaller one as a whole, as papers count:
the first layer of ResNet-50's second stage still works on the first one's maps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from convlens.anatomy.anatomy import Anatomy
from convlens.anatomy.rows import Row
from convlens.graph.structure import refs

_JOINS = ("cat", "concat", "stack")


@dataclass(frozen=True)
class Stage:
    """What a network does on maps of one size.

    Attributes:
        rows: rows of the maps as a fraction of the image's, 1/32 for 7 of 224; 0 for what has no rows.
        map_size: rows and columns of its last map, () for what has none, such as a classifier.
        channels: of its last map.
        layers: convolutions and matrix products with parameters.
        parameters, macs, flops: sums over its operations; macs and flops without what has no formula.
        field: size of the receptive field of its last map, without gates; None where it is not regular.
    """

    rows: float
    map_size: tuple[int, ...]
    channels: int
    layers: int
    parameters: int
    macs: int
    flops: int
    field: tuple[float, ...] | None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return {
            "map": list(self.map_size),
            "channels": self.channels,
            "layers": self.layers,
            "parameters": self.parameters,
            "macs": self.macs,
            "flops": self.flops,
            "receptive_field": list(self.field) if self.field else None,
        }


def stages(sheet: Anatomy) -> tuple[Stage, ...]:
    """The stages of a network, from large maps to small ones; what has no map comes last."""
    height = next((size[2] for size in sheet.input_shapes if len(size) == 4), 0)
    groups: dict[tuple[int, ...], list[Row]] = {}
    for row in sheet.rows:
        groups.setdefault(_stage_of(sheet, row), []).append(row)
    found = [_stage(sheet, size, rows, height) for size, rows in groups.items()]
    return tuple(sorted(found, key=lambda stage: -stage.rows))


def _stage_of(sheet: Anatomy, row: Row) -> tuple[int, ...]:
    """The map size that a row counts for: of its own map, or of the smaller one that its block ends in."""
    own = _map_of(row)
    if not own or row.operation is None:
        return own
    calls = sheet.graph.calls
    call = calls[sheet.graph.operations[row.operation].call]
    while call.parent is not None:
        rows = [(size, each) for each in sheet.rows[call.first : call.last] if (size := _map_of(each))]
        given, made = _size(sheet, call.arguments), _size(sheet, call.results)
        goes_on = any(
            size == made and each.macs and each.parameters for size, each in rows
        )  # not a mere pool at its end
        if given == own and made and made[0] < own[0] and {size for size, _ in rows} == {own, made} and goes_on:
            return made
        call = calls[call.parent]
    return own


def _size(sheet: Anatomy, nest: Any) -> tuple[int, ...]:
    """Rows and columns of the first map in what a module was given or returned."""
    shapes = [sheet.graph.tensors[index].shape for index in refs(nest)]
    return next((shape[2:] for shape in shapes if len(shape) == 4), ())


def _map_of(row: Row) -> tuple[int, ...]:
    """Rows and columns of the map that an operation makes; a map of one place counts as none."""
    size = row.shape[2:] if len(row.shape) == 4 else ()
    return () if all(each == 1 for each in size) else size


def _stage(sheet: Anatomy, size: tuple[int, ...], rows: Sequence[Row], height: int) -> Stage:
    working = [row for row in rows if row.macs and row.parameters]
    made = [row for row in rows if row.flops or row.kind in _JOINS] or rows  # not a choice of channels for the next map
    last = made[-1]
    field = sheet.field_of(last.name) if size and last.operation is not None else None
    regular = field.local if field is not None and field.local.regular else None
    return Stage(
        rows=size[0] / height if size and height else 0,
        map_size=size,
        channels=last.shape[1] if len(last.shape) > 1 else 0,
        layers=len(working),
        parameters=sum(row.parameters for row in rows),
        macs=sum(row.macs or 0 for row in rows),
        flops=sum(row.flops or 0 for row in rows),
        field=tuple(regular.size) if regular is not None and regular.size else None,
    )
