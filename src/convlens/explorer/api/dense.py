"""Why not fully connected: parameters as the image grows, and what shifted images do, measured before or on request."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from convlens.arithmetic import geometry
from convlens.explorer.experiment import Experiment
from convlens.explorer.session import Session

SIDES = tuple(range(1, 33)) + tuple(range(34, 65, 2)) + tuple(range(72, 513, 8))
BYTES_PER_WEIGHT = 4


class FirstLayer(BaseModel):
    """A layer from (H, W, C) to (H, W, filters)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    side: int = Field(224, ge=1, le=512)
    channels: int = Field(3, ge=1, le=4)
    filters: int = Field(64, ge=1, le=128)
    kernel: int = Field(7, ge=1, le=11)


class Wish(BaseModel):
    """How long the two networks of the experiment are trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(15, ge=1, le=60)


def routes(_: Session) -> APIRouter:
    """Build the routes under `/api/dense`."""
    router = APIRouter()
    experiment = Experiment()

    @router.post("/dense")
    def parameters(layer: FirstLayer) -> dict[str, Any]:
        return {
            "sides": SIDES,
            "dense": [cost(layer, side)["dense"] for side in SIDES],
            "convolution": [cost(layer, side)["convolution"] for side in SIDES],
            "at": cost(layer, layer.side),
        }

    @router.post("/dense/experiment")
    def start(wish: Wish) -> dict[str, Any]:
        experiment.start(wish.epochs)
        return experiment.state()

    @router.get("/dense/experiment")
    def state() -> dict[str, Any]:
        state = experiment.state()
        return {**_measured_before(), **state} if state["state"] == "idle" else state

    return router


@cache
def _measured_before() -> dict[str, Any]:
    """What `benchmarks/explorer_networks.py` measured, and when."""
    found: dict[str, Any] = json.loads(files("convlens.explorer").joinpath("trained", "shifts.json").read_text("utf-8"))
    return found


def cost(layer: FirstLayer, side: int) -> dict[str, int]:
    """Parameters, bytes and multiply-adds of both layers on an image of `side` × `side`.

    A fully connected layer is a convolution whose kernel is as large as the image, with a filter of its own for every
    output number: so both come from the same formula.

    >>> cost(FirstLayer(side=32, channels=1, filters=6, kernel=5), 32)["dense"]
    6297600
    """
    outputs = side * side * layer.filters
    dense = geometry.parameters(layer.channels, outputs, (side, side))
    convolution = geometry.parameters(layer.channels, layer.filters, (layer.kernel, layer.kernel))
    return {
        "dense": dense,
        "convolution": convolution,
        "dense_bytes": dense * BYTES_PER_WEIGHT,
        "convolution_bytes": convolution * BYTES_PER_WEIGHT,
        "dense_macs": geometry.macs(layer.channels, outputs, (side, side), (1, 1)),
        "convolution_macs": geometry.macs(layer.channels, layer.filters, (layer.kernel, layer.kernel), (side, side)),
        "outputs": outputs,
        # the lecture's formula: a layer with one number for each filter, which keeps no place; weights alone
        "slide": side * side * layer.channels * layer.filters,
    }
