"""Debugging a run: its curves, its layers, its mistakes and what it was shown."""

from base64 import b64encode
from functools import cache
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray

from convlens.errors import ConvlensError
from convlens.explorer.debugging import Debugging
from convlens.explorer.session import Session
from convlens.explorer.shelf import png, scaled


def routes(session: Session) -> APIRouter:
    """Build the routes under `/api/run`."""
    router = APIRouter(prefix="/run")

    @cache
    def opened() -> Debugging:
        folder = session.opened.provenance.folder if session.opened else None
        if folder is None:
            raise ConvlensError("no run is open; start the explorer with one: convlens explore RUN")
        return Debugging(folder)

    @router.get("")
    def curves() -> dict[str, Any]:
        if session.opened is None or session.opened.provenance.folder is None:
            return {"open": False}
        run = opened().run
        kept = [which for which in ("best", "last") if run.weights_path(which).is_file()]
        return {"open": True, "name": session.opened.name, "metrics": run.metrics(), "kept": kept}

    @router.get("/layers")
    def layers(which: Literal["best", "last"] = "best") -> list[dict[str, Any]]:
        return opened().layers(which)

    @router.get("/mistakes")
    def mistakes(truth: int | None = None, answer: int | None = None) -> dict[str, Any]:
        found = opened()
        images = [_shown(found, index) for index in found.mistakes(truth, answer)]
        return {
            "split": found.split,
            "images": len(found.answered.records),
            "classes": found.run.classes,
            "confusion": found.confusion(),
            "shown": images,
        }

    @router.get("/augmented")
    def augmented() -> list[str]:
        return [_png(each) for each in opened().augmented()]

    @router.post("/picture/{index}")
    def picture(index: int) -> dict[str, str]:
        """Put a held-out image on the shelf of pictures, so that page 8 can look at it."""
        record, pixels = opened().image(index)
        return {"name": session.images.add(png(pixels), title=record.key).name}

    return router


def _shown(found: Debugging, index: int) -> dict[str, Any]:
    record, pixels = found.image(index)
    answered = found.answered
    said = int(answered.probabilities[index].argmax())
    return {
        "index": index,
        "key": record.key,
        "truth": found.run.classes[answered.truth[index]],
        "answer": found.run.classes[said],
        "probability": float(answered.probabilities[index, said]),
        "png": _png(scaled(pixels, 96)),
    }


def _png(pixels: NDArray[np.uint8]) -> str:
    return b64encode(png(np.ascontiguousarray(pixels))).decode("ascii")
