"""Receptive fields: for one place on the image, the region that the unit there can see, layer by layer."""

from typing import Any

from fastapi import APIRouter

from convlens.anatomy import Anatomy
from convlens.anatomy.receptive import ReceptiveField
from convlens.errors import ConvlensError
from convlens.explorer.folding import INPUT, Node, unfolded
from convlens.explorer.session import Session


def routes(session: Session) -> APIRouter:
    """Build the route `/api/field`."""
    router = APIRouter()
    subjects = session.subjects

    @router.get("/field")
    def fields(network: str, across: float = 0.5, down: float = 0.5, side: int | None = None) -> dict[str, Any]:
        if not (0 <= across <= 1 and 0 <= down <= 1):
            raise ConvlensError(f"across={across} and down={down}: both are shares of the image, from 0 to 1")
        sheet = subjects.anatomy(network, side)
        channels, height, width = sheet.input_shapes[0][1:]
        layers = [_layer(sheet, node, across, down) for node in unfolded(sheet) if node.id != INPUT]
        return {"image": [height, width], "channels": channels, "layers": layers}

    return router


def _layer(sheet: Anatomy, node: Node, across: float, down: float) -> dict[str, Any]:
    """The region of the unit that lies where one points, or of the only one there is."""
    rows, columns = _map_of(sheet, node)
    unit = (min(rows - 1, int(down * rows)), min(columns - 1, int(across * columns)))
    at = node.id.partition("#")[0]
    whole = sheet.receptive_field(at, unit if rows * columns > 1 else None)
    described = {
        "id": node.id,
        "label": node.part.label,
        "follows": node.follows,
        "type": node.part.type,
        "map": [rows, columns],
        "unit": list(unit),
        "unknown": list(whole.unknown),
        **_region(whole),
    }
    # a gate or a global statistic lets the whole image in; what the layers themselves see is told apart
    return described | {"local": _region(whole.local) if whole.gateless is not None else None}


def _region(field: ReceptiveField) -> dict[str, Any]:
    return {
        "rows": field.rows,
        "columns": field.columns,
        "size": list(field.size) if field.size else None,
        "stride": list(field.stride) if field.stride else None,
        "offset": list(field.offset) if field.offset else None,
        "regular": field.regular,
        "word": field.word,
        "global": field.is_global,
    }


def _map_of(sheet: Anatomy, node: Node) -> tuple[int, int]:
    """Rows and columns of a layer's map; 1 × 1 for a layer without one."""
    for index in reversed(node.operations):
        shape = sheet.graph.tensors[sheet.graph.operations[index].outputs[0]].shape
        if len(shape) == 4:
            return shape[2], shape[3]
    return 1, 1
