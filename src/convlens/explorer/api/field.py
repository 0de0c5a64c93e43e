"""Receptive fields: for one place on the image, the region that the unit there can see, layer by layer."""

from base64 import b64encode
from typing import Any

import numpy as np
from fastapi import APIRouter

from convlens.anatomy import Anatomy
from convlens.anatomy.effective import effective_receptive_field
from convlens.anatomy.receptive import ReceptiveField
from convlens.errors import ConvlensError
from convlens.explorer.folding import INPUT, Node, unfolded
from convlens.explorer.session import Session

NOISE_IMAGES = 8


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

    @router.get("/field/effective")
    def effective(network: str, layer: str, across: float = 0.5, down: float = 0.5) -> dict[str, Any]:
        """How much each pixel really moves the unit, measured by gradients on noise (Luo et al. 2016)."""
        patient = session.clinic.patient(network)
        node = patient.node(layer)
        rows, columns = _map_of(patient.sheet, node)
        unit = (min(rows - 1, int(down * rows)), min(columns - 1, int(across * columns)))
        place = unit if rows * columns > 1 else None
        with patient.lock:
            found = effective_receptive_field(patient.sheet, _module_of(patient.sheet, node), place, count=NOISE_IMAGES)
        levels = np.rint(np.sqrt(found.magnitude) * 255).astype(np.uint8)
        return {
            "images": found.images,
            "inside": found.inside,
            "area": found.area,
            "trained": patient.trained,
            "drawn": list(levels.shape),
            "levels": b64encode(levels.tobytes()).decode("ascii"),
        }

    return router


def _module_of(sheet: Anatomy, node: Node) -> str:
    """The module whose output a layer is: itself, or the block that ends with it, such as an addition."""
    path = node.id.partition("#")[0]
    if path in sheet.graph.modules:
        return path
    for outer in reversed(node.group):
        module = sheet.modules.find(outer)
        if module is not None and module.shape[1:] == node.shape:
            return outer
    raise ConvlensError(
        f"layer {node.id} is an operation inside a block; choose a layer that is a module or ends a block"
    )


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
        "bounds": list(whole.bounds),
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
