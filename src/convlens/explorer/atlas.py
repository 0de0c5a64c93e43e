"""All layers of a network at work as columns of maps: small pictures of them, what reads what, stage by stage.

A map is sent as bytes, from 0 or minus the layer's largest magnitude up to it, so that 0.0 keeps one colour in a layer.
"""

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from convlens.errors import ConvlensError, unknown_name
from convlens.explorer.folding import INPUT, Node
from convlens.explorer.inside import Look, Patient
from convlens.graph.operators import Convolution

MOST_COLUMNS = 15
MOST_MAPS = 32
SIDE = 40  # of a small picture, in pixels at most


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Layers that are shown together."""

    name: str
    layers: tuple[str, ...]


def columns_of(patient: Patient) -> list[Node]:
    """The layers that compute something, in order; slices and added zeros are only ways from one to the next."""
    return [node for node in patient.nodes.values() if not _is_way(node)]


def stages_of(patient: Patient) -> list[Stage]:
    """A network in parts that fit on a screen: all of it, or its modules, or modules of those."""
    nodes = [node for node in columns_of(patient) if node.id != INPUT]
    if len(nodes) <= MOST_COLUMNS:
        return [Stage(name="", layers=tuple(node.id for node in nodes))]
    return _divided(nodes, 0)


def _divided(nodes: list[Node], depth: int) -> list[Stage]:
    """Runs of nodes in one module of this depth; those too long are divided again, short neighbours joined."""
    runs: list[tuple[str, list[Node]]] = []
    for node in nodes:
        name = node.group[depth] if depth < len(node.group) else ""
        if runs and runs[-1][0] == name:
            runs[-1][1].append(node)
        else:
            runs.append((name, [node]))
    stages: list[Stage] = []
    for name, run in runs:
        if len(run) > MOST_COLUMNS and name:
            stages += _divided(run, depth + 1)
        elif len(run) > MOST_COLUMNS:
            pieces = [run[start : start + MOST_COLUMNS] for start in range(0, len(run), MOST_COLUMNS)]
            stages += [Stage(name=f"{piece[0].id} …", layers=tuple(each.id for each in piece)) for piece in pieces]
        else:
            stages.append(Stage(name=name or _span(run), layers=tuple(each.id for each in run)))
    return _merged(stages)


def _span(run: list[Node]) -> str:
    return run[0].id if len(run) == 1 else f"{run[0].id} … {run[-1].id}"


def _merged(stages: list[Stage]) -> list[Stage]:
    """Neighbours that fit on one screen together."""
    merged: list[Stage] = []
    for stage in stages:
        before = merged[-1] if merged else None
        if before is not None and len(before.layers) + len(stage.layers) <= MOST_COLUMNS // 2:
            first, last = before.name.split(" … ")[0], stage.name.split(" … ")[-1]
            merged[-1] = Stage(name=f"{first} … {last}", layers=before.layers + stage.layers)
        else:
            merged.append(stage)
    return merged


def atlas(look: Look, name: str) -> dict[str, Any]:
    """The columns of one stage, with the input's or those layers' before it that it reads.

    Args:
        look: the network at work on a picture.
        name: the stage; empty for the first.

    Raises:
        ConvlensError: the network has no such stage.
    """
    patient = look.patient
    stages = stages_of(patient)
    stage = next((each for each in stages if each.name == name), stages[0] if not name else None)
    if stage is None:
        raise unknown_name("stage", name, [each.name for each in stages])
    wiring = {place: wires(patient, place) for place in stage.layers}
    outside = [wire["from"] for wired in wiring.values() for wire in wired if wire["from"] not in stage.layers]
    places = [*dict.fromkeys(outside), *stage.layers]
    found = look.glances(places, _small)
    return {
        "stages": [each.name for each in stages],
        "stage": stage.name,
        "columns": [
            {**_told(patient.node(place)), **found[place], "wires": wiring.get(place, []), "outside": place in outside}
            for place in places
        ],
    }


def wires(patient: Patient, place: str) -> list[dict[str, Any]]:
    """Which maps of which columns a layer's maps read.

    Returns:
        One wire for each source: `{"from", "kind", …}`. Kinds: `all`; `same`, the map of the same number less `offset`;
        `groups`, with how many maps a group `reads` and `gives`.
    """
    node = patient.node(place)
    found = []
    sources = _sources(patient, place)
    offset = 0
    for source in sources:
        channels = patient.node(source).shape[0]
        found.append({"from": source, **_kind(patient, node, channels, offset)})
        offset += channels if node.part.type == "concat" else 0
    return found


def _kind(patient: Patient, node: Node, channels: int, offset: int) -> dict[str, Any]:
    if node.part.type == "linear":
        return {"kind": "all"}
    if node.part.type == "convolution":
        found = (Convolution.of(patient.sheet.graph.operations[index]) for index in node.operations)
        groups = next((layer.groups for layer in found if layer is not None), 1)
        if groups == 1:
            return {"kind": "all"}
        return {"kind": "groups", "reads": channels // groups, "gives": node.shape[0] // groups}
    return {"kind": "same", "offset": offset}


def _sources(patient: Patient, place: str) -> list[str]:
    """The columns that a layer reads, in the order of its arguments; a way in between is passed through."""
    found: list[str] = []
    for before, after in patient.edges:
        if after != place:
            continue
        found += _sources(patient, before) if _is_way(patient.node(before)) else [before]
    return list(dict.fromkeys(found))


def _is_way(node: Node) -> bool:
    return node.part.type == "other" and node.part.label in ("slice", "constant_pad_nd", "pad", "view")


def _told(node: Node) -> dict[str, Any]:
    return {
        "id": node.id,
        "label": node.part.label,
        "type": node.part.type,
        "follows": node.follows,
        "shape": list(node.shape),
    }


def _small(output: torch.Tensor) -> dict[str, Any]:
    """Of a layer's output: its range, and all maps or the strongest ones, small."""
    planes = (output if output.ndim == 3 else output.reshape(-1, 1, 1)).float()
    strength = planes.abs().amax(dim=(1, 2))
    chosen = strength.topk(min(MOST_MAPS, len(planes))).indices.sort().values
    step = -(-max(planes.shape[1:]) // SIDE)
    small = planes[chosen][:, ::step, ::step]
    return {
        "maps": len(planes),
        "shown": chosen.tolist(),
        "lowest": float(planes.min()),
        "highest": float(planes.max()),
        **levels(small, planes),
    }


def levels(planes: torch.Tensor, range_of: torch.Tensor) -> dict[str, Any]:
    """Maps `(N, H, W)` as bytes, for the range of `range_of`: symmetric where there are negative numbers."""
    reach = float(range_of.abs().max()) or 1.0
    low = -reach if float(range_of.min()) < 0 else 0.0
    bytes_ = ((planes - low) / (reach - low) * 255).clamp(0, 255).round().to(torch.uint8).numpy()
    return {
        "drawn": list(bytes_.shape[1:]),
        "low": low,
        "high": reach,
        "levels": b64encode(bytes_.tobytes()).decode("ascii"),
    }


def plane_dict(planes: Iterable[torch.Tensor]) -> dict[str, Any]:
    """Several maps of one size, drawn on one scale, none larger than a large picture on the page."""
    stacked = torch.stack([each.float() for each in planes])
    step = -(-max(stacked.shape[1:]) // 96)
    return levels(stacked[:, ::step, ::step], stacked) | {"size": list(stacked.shape[1:])}


def check_channel(node: Node, channel: int) -> None:
    """Refuse a channel that a layer does not have.

    Raises:
        ConvlensError: it has none of that number.
    """
    if not 0 <= channel < node.shape[0]:
        raise ConvlensError(f"layer {node.id} has no channel {channel}; it has {node.shape[0]}")
