"""Two signals, one slid over the other: samples of functions on −1 … 1, and sums that stand for integrals."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from convlens import arithmetic
from convlens.arithmetic.stepping import OPERATIONS
from convlens.explorer.session import Session

SAMPLES = 40
WIDTH = 2 / SAMPLES
"""Width of a sample's strip: a sum of products times this is the integral, by the midpoint rule."""

Signal = NDArray[np.float64]
Samples = Annotated[
    list[Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)]], Field(min_length=SAMPLES, max_length=SAMPLES)
]

# name -> the function of t in −1 … 1
_SHAPES: dict[str, Callable[[Signal], Signal]] = {
    "box": lambda t: (np.abs(t) < 0.5).astype(np.float64),
    "ramp": lambda t: np.where(np.abs(t) < 0.5, 0.5 - t, 0),
    "triangle": lambda t: np.clip(1 - 2 * np.abs(t), 0, 1),
    "bell": lambda t: np.exp(-((t / 0.25) ** 2)),
    "decay": lambda t: np.where(t > -0.5, np.exp(-3 * (t + 0.5)), 0),
    "wave": lambda t: np.sin(4 * np.pi * t) * np.cos(np.pi * t / 2) ** 2,
    "pulses": lambda t: ((np.abs(t + 0.5) < 0.125) | (np.abs(t - 0.4) < 0.125)).astype(np.float64),
    "edge": lambda t: np.where(np.abs(t) < 0.5, np.sign(t), 0),
}


class Slid(BaseModel):
    """The two signals and what is done with them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    f: Samples
    g: Samples
    operation: Literal["convolution", "correlation", "autocorrelation"] = "convolution"


def routes(_: Session) -> APIRouter:
    """Build the routes under `/api/signals`."""
    router = APIRouter()

    @router.get("/signals")
    def shapes() -> dict[str, Any]:
        return {"t": times(SAMPLES), "shapes": {name: shape(name).tolist() for name in _SHAPES}}

    @router.post("/signals")
    def slid(asked: Slid) -> dict[str, Any]:
        every = {name: _slide(asked, name) for name in OPERATIONS}
        chosen = every[asked.operation].to_dict()
        for lag in chosen["lags"]:
            lag["sum"] *= WIDTH
        return {
            "t": times(2 * SAMPLES - 1),
            "sliding": chosen["sliding"],
            "lags": chosen["lags"],
            "results": {name: (slide.output * WIDTH).tolist() for name, slide in every.items()},
        }

    return router


def shape(name: str) -> Signal:
    """Sample one of the named functions, rounded as addresses are.

    >>> round(float(shape("box").sum()) * WIDTH, 9)
    1.0
    """
    return np.round(_SHAPES[name](np.array(times(SAMPLES))), 3) + 0.0


def times(samples: int) -> list[float]:
    """Where the samples lie, around 0: in the middles of their strips, or, for an odd number, on the borders."""
    half = (samples - 1) / 2 * WIDTH
    return [float(t) for t in np.round(np.linspace(-half, half, samples), 6) + 0.0]


def _slide(asked: Slid, operation: str) -> arithmetic.Slide:
    kernel = None if operation == "autocorrelation" else asked.g
    return arithmetic.lags(asked.f, kernel, operation=operation)
