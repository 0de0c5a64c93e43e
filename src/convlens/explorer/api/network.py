"""Networks: which there are, and the graph of one, folded as the page asks."""

from typing import Any, Literal

from fastapi import APIRouter

from convlens import networks
from convlens.anatomy import Anatomy
from convlens.errors import ConvlensError, unknown_name
from convlens.explorer.folding import INPUT, Node, fold
from convlens.explorer.node_names import group_label
from convlens.explorer.node_numbers import described, fields, gradients, planned, seconds, weights
from convlens.explorer.onnx_file import read_onnx
from convlens.explorer.session import Session
from convlens.explorer.shipped import shipped
from convlens.explorer.subjects import BLOCKS

MOST_OPEN = 600


def routes(session: Session) -> APIRouter:
    """Build the routes under `/api/networks`."""
    router = APIRouter()
    subjects = session.subjects

    @router.get("/networks")
    def list_networks() -> list[dict[str, Any]]:
        return [_listed(name) for name in subjects.names()]

    @router.get("/networks/{name}")
    def graph(name: str, side: int | None = None, opened: str = "") -> dict[str, Any]:
        if (file := subjects.file(name)) is not None:
            file = file if side is None else read_onnx(file.path, side)
            return file.drawing | {"name": name, "usual": file.size, "drawn_only": True}
        sheet = subjects.anatomy(name, side)
        return _drawn(sheet, _paths(opened)) | {
            "name": name,
            "usual": subjects.usual_size(name),
        }

    @router.get("/networks/{name}/figures")
    def figures(name: str, what: Literal["field", "time", "plan", "gradient"], opened: str = "") -> dict[str, Any]:
        """A number for each part that is drawn, None where there is none."""
        if subjects.file(name) is not None:
            raise ConvlensError(
                f"{name} is an ONNX file, which is drawn and not run; colour it by what its graph holds"
            )
        sheet = subjects.anatomy(name)
        nodes, _ = fold(sheet, _paths(opened))
        if what == "field":
            found = fields(sheet, [node.id for node in nodes if node.id != INPUT])
        else:
            if name in BLOCKS:
                raise ConvlensError(f"{name} is a block without weights; choose a whole network")
            patient = session.clinic.patient(name)
            if what == "plan":
                found = planned(patient, sheet, nodes)
            else:
                found = (seconds if what == "time" else gradients)(patient)
        return {node.id: found.get(node.id.partition("#")[0], found.get(node.id)) for node in nodes}

    @router.get("/networks/{name}/weights")
    def parameters(name: str, module: str) -> dict[str, Any]:
        if (file := subjects.file(name)) is not None:
            return {"trained": True, "weights": described(file.weights(module))}
        if name in BLOCKS:
            raise ConvlensError(f"{name} is a block without weights; choose a whole network")
        patient = session.clinic.patient(name)
        return {"trained": patient.trained, "weights": weights(patient, module)}

    return router


def _paths(opened: str) -> list[str]:
    return [path for path in opened.split(",") if path][:MOST_OPEN]


def _listed(name: str) -> dict[str, Any]:
    if networks.is_name(name):
        card = networks.card(name)
        return {"name": name, "family": card.family, "paper": card.paper, "size": [card.channels, *card.input_size]}
    family = "block" if name in BLOCKS else "trained" if name in shipped() else "own"
    return {"name": name, "family": family, "paper": "", "size": None, "picture": shipped().get(name)}


def _drawn(sheet: Anatomy, opened: list[str]) -> dict[str, Any]:
    for path in opened:
        if path not in sheet.graph.modules:
            raise unknown_name("module", path, [name for name in sheet.graph.modules if name])
    nodes, edges = fold(sheet, opened)
    return {
        "nodes": [node.to_dict() for node in nodes],
        "edges": edges,
        "groups": [_group(sheet, path) for path in _groups(nodes)],
        "totals": {
            "parameters": sheet.parameters,
            "macs": sheet.macs,
            "flops": sheet.flops,
            "peak_memory": sheet.peak_memory,
            "operations": len(sheet.graph.operations),
        },
        "not_counted": sheet.not_counted,
    }


def _groups(nodes: list[Node]) -> list[str]:
    return list(dict.fromkeys(path for node in nodes for path in node.group))


def _group(sheet: Anatomy, path: str) -> dict[str, Any]:
    module = sheet.modules.find(path)
    assert module is not None  # a group is the path of a module of this graph
    return {
        "path": path,
        "label": group_label(sheet.graph, path),
        "parameters": module.parameters,
        "macs": module.macs,
        "shape": list(module.shape[1:]),
    }
