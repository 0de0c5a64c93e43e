"""Inside a network: its prediction, every layer's maps, filters, one unit's arithmetic, favourite images."""

from base64 import b64encode
from typing import Annotated, Any

import numpy as np
import torch
from fastapi import APIRouter, Depends
from numpy.typing import NDArray

from convlens.errors import ConvlensError, unknown_name
from convlens.explaining import explain
from convlens.explaining.class_map import class_map
from convlens.explorer.atlas import atlas, stages_of
from convlens.explorer.favourites import Favourites, summary, thumbnail
from convlens.explorer.inside import Look, best, in_channels, seen, softmax
from convlens.explorer.session import Session
from convlens.explorer.shelf import png, scaled
from convlens.explorer.unfolding import unfold
from convlens.explorer.unit import Unit, described, share_of

MAPS_A_PAGE = 64
LARGEST_MAP = 128
LARGEST_HEAT = 320
EVERYWHERE = 1.8  # sides of the picture in sides of the network's own images


def routes(session: Session) -> APIRouter:
    """Build the routes under `/api/inside`."""
    router = APIRouter(prefix="/inside")
    clinic = session.clinic
    favourites = Favourites()

    def look(network: str, picture: str) -> Look:
        return clinic.look(network, picture)

    Looked = Annotated[Look, Depends(look)]

    @router.get("")
    def overview(look: Looked) -> dict[str, Any]:
        patient = look.patient
        return {
            "trained": patient.trained,
            "stages": [stage.name for stage in stages_of(patient)],
            "plain": patient.classifier.prepared is None,
            "has_images": bool(patient.classifier.provenance.data),
            "classes": len(patient.classes),
            "best": best(look),
            "softmax": softmax(look),
            "seen": _png(seen(look)),
            "size": list(patient.size),
            "layers": [
                {
                    "id": node.id,
                    "label": node.part.label,
                    "follows": node.follows,
                    "type": node.part.type,
                    "shape": node.shape,
                }
                for node in patient.nodes.values()
            ],
        }

    @router.get("/atlas")
    def columns(look: Looked, stage: str = "") -> dict[str, Any]:
        """The maps of all layers of a stage, small, and what reads what."""
        return atlas(look, stage)

    @router.get("/unfold")
    def apart(look: Looked, layer: str, channel: int) -> dict[str, Any]:
        """One map taken apart: what it reads, kernels, shares, their sum and the steps after it."""
        return unfold(look, layer, channel)

    @router.get("/why")
    def why(look: Looked, method: str = "gradcam", target: str = "") -> dict[str, Any]:
        """Where on the picture the network saw what it answers, or another class; see `convlens.explaining`."""
        classes = look.patient.classes
        if target and target not in classes:
            raise unknown_name("class", target, classes)
        chosen = classes.index(target) if target else None
        with look.patient.lock:
            found = explain(look.patient.network, look.x[0], method=method, target=chosen)
        return {"target": classes[found.target], "layer": found.layer} | _plane(found.heat, largest=LARGEST_HEAT)

    @router.get("/share")
    def share(look: Looked, layer: str, channel: int, source: int) -> dict[str, Any]:
        """One input channel, and what the kernel makes of it: its share of the channel's map before bias and norm."""
        return {name: _plane(plane) for name, plane in share_of(look, layer, channel, source).items()}

    @router.get("/maps")
    def maps(look: Looked, layer: str, page: int = 0) -> dict[str, Any]:
        return _maps(look.output(layer), page)

    @router.get("/everywhere")
    def everywhere(look: Looked, picture: str) -> dict[str, Any]:
        """The network without its last flattening, on a larger picture: an answer for every place."""
        return _everywhere(look, session.images.get(picture).pixels)

    @router.get("/unit")
    def unit(look: Looked, layer: str, channel: int, row: int = -1, column: int = -1) -> dict[str, Any]:
        """The arithmetic of a unit; of the channel's largest when no place is given."""
        if row < 0 or column < 0:
            row, column = _largest(look.output(layer), channel)
        return described(Unit(look, layer, (channel, row, column)))

    @router.get("/filters")
    def filters(network: str) -> dict[str, Any]:
        patient = clinic.patient(network)
        with patient.lock:
            return _filters(patient.network)

    @router.get("/favourites")
    def most_activating(network: str, layer: str, channel: int) -> dict[str, Any]:
        patient = clinic.patient(network)
        if not 0 <= channel < patient.node(layer).shape[0]:
            raise ConvlensError(f"layer {layer} has no channel {channel}; it has {patient.node(layer).shape[0]}")
        dataset = favourites.dataset(patient)
        found = favourites.best(patient, layer, channel)
        return summary(favourites.answers(patient, layer)) | {
            "map": list(patient.node(layer).shape[1:]),
            "images": [
                {"key": each.key, "label": each.label, "value": value, "where": where,
                 "png": _png(scaled(thumbnail(patient, dataset, each), 160))}
                for each, value, where in found
            ],
        }  # fmt: skip

    return router


def _everywhere(look: Look, pixels: NDArray[np.uint8]) -> dict[str, Any]:
    patient = look.patient
    with patient.lock:
        found = class_map(patient.network, patient.preprocessing, in_channels(pixels, patient.size[0]), zoom=EVERYWHERE)
    likeliest = found.probabilities.argmax(axis=0)
    left, right, bottom, top = found.extent()
    return {
        "picture": _png(found.picture),
        "size": list(found.picture.shape[:2]),
        "window": list(found.window),
        "extent": [left, right, top, bottom],
        "labels": [[patient.classes[index] for index in row] for row in likeliest],
        "probabilities": found.probabilities.max(axis=0).astype(float).round(4).tolist(),
    }


def _maps(output: torch.Tensor, page: int) -> dict[str, Any]:
    """Up to 64 channels as bytes, from 0 or minus the largest magnitude up to it, so that 0.0 keeps one colour."""
    planes = output if output.ndim == 3 else output.reshape(-1, 1, 1)
    count = planes.shape[0]
    if not 0 <= page * MAPS_A_PAGE < count:
        raise ConvlensError(f"page {page} is past the last of {count} channels; use 0 to {(count - 1) // MAPS_A_PAGE}")
    shown = planes[page * MAPS_A_PAGE : (page + 1) * MAPS_A_PAGE].float()
    step = -(-max(shown.shape[1:]) // LARGEST_MAP)
    small = shown[:, ::step, ::step]
    reach = float(planes.abs().max()) or 1.0
    low = -reach if float(planes.min()) < 0 else 0.0
    levels = ((small - low) / (reach - low) * 255).round().to(torch.uint8).numpy()
    return {
        "channels": count,
        "first": page * MAPS_A_PAGE,
        "height": planes.shape[1],
        "width": planes.shape[2],
        "drawn": list(levels.shape[1:]),
        "low": low,
        "high": reach,
        "largest": [float(v) for v in shown.amax(dim=(1, 2))],
        "levels": b64encode(levels.tobytes()).decode("ascii"),
    }


def _plane(plane: NDArray[Any], largest: int = LARGEST_MAP) -> dict[str, Any]:
    """One map as bytes, with 0.0 at one end or in the middle."""
    step = -(-max(plane.shape) // largest)
    small = plane[::step, ::step]
    reach = float(np.abs(plane).max()) or 1.0
    low = -reach if float(plane.min()) < 0 else 0.0
    levels = np.rint((small - low) / (reach - low) * 255).astype(np.uint8)
    return {
        "drawn": list(levels.shape),
        "low": low,
        "high": reach,
        "levels": b64encode(levels.tobytes()).decode("ascii"),
    }


def _largest(output: torch.Tensor, channel: int) -> tuple[int, int]:
    if output.ndim != 3 or not 0 <= channel < len(output):
        return 0, 0
    flat = int(output[channel].argmax())
    return flat // output.shape[2], flat % output.shape[2]


def _filters(network: torch.nn.Module) -> dict[str, Any]:
    """The first convolution's kernels, which look at the image itself; in colour where it has three channels."""
    first = next((module for module in network.modules() if isinstance(module, torch.nn.Conv2d)), None)
    if first is None:
        return {"filters": [], "kernel_size": []}
    weight = first.weight.detach().float()
    if weight.shape[1] not in (1, 3):
        return {"filters": [], "kernel_size": []}
    reach = weight.abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12)
    levels = ((weight / reach + 1) * 127.5).round().to(torch.uint8).numpy().transpose(0, 2, 3, 1)
    return {"filters": [_png(each) for each in levels[:128]], "kernel_size": list(first.kernel_size)}


def _png(pixels: NDArray[np.uint8]) -> str:
    return b64encode(png(np.ascontiguousarray(pixels))).decode("ascii")
