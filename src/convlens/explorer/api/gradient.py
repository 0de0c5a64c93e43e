"""The vanishing gradient: what was measured beforehand, and the same measured here on request."""

import json
import sys
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict

from convlens.explorer.experiment import Experiment
from convlens.explorer.session import Session

EPOCHS = 3
COMMAND = (sys.executable, "-m", "convlens.explorer.vanishing")


class Pair(BaseModel):
    """Which two networks, and whether with batch norm or as before 2015."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pair: Literal["plain34", "plain20"] = "plain34"
    norm: bool = False


def routes(_: Session) -> APIRouter:
    """Build the routes under `/api/gradient`."""
    router = APIRouter()
    experiments: dict[Pair, Experiment] = {}

    def experiment(asked: Annotated[Pair, Depends()]) -> Experiment:
        if asked not in experiments:
            options = ["--pair", asked.pair.removeprefix("plain"), *([] if asked.norm else ["--before-2015"])]
            experiments[asked] = Experiment((*COMMAND, *options))
        return experiments[asked]

    Asked = Annotated[Experiment, Depends(experiment)]

    @router.get("/gradient")
    def known(running: Asked, asked: Annotated[Pair, Depends()]) -> dict[str, Any]:
        state = running.state()
        before = _measured()
        found = {
            "found": before["found"][f"{asked.pair.removeprefix('plain')} {'norm' if asked.norm else 'before 2015'}"]
        }
        about = {"measured": before["measured"], "epochs": before["epochs"]}
        if state["state"] == "done":
            return {"state": "done", "epochs": EPOCHS, "found": {kind: state[kind] for kind in ("plain", "residual")}}
        return {**about, **found, **state}

    @router.post("/gradient")
    def start(running: Asked) -> dict[str, Any]:
        running.start(EPOCHS)
        return running.state()

    return router


@cache
def _measured() -> dict[str, Any]:
    """What `benchmarks/vanishing_gradient.py --bundle` measured."""
    found: dict[str, Any] = json.loads(
        files("convlens.explorer").joinpath("trained", "gradients.json").read_text("utf-8")
    )
    return found
