"""Size against accuracy: what the papers state, and what the published weights reach."""

import csv
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import APIRouter

from convlens.explorer.session import Session


def routes(_: Session) -> APIRouter:
    """Build the routes under `/api/accuracy`."""
    router = APIRouter()

    @router.get("/accuracy")
    def literature() -> list[dict[str, Any]]:
        return list(stated())

    return router


@cache
def stated() -> tuple[dict[str, Any], ...]:
    """Read the table: one row a network and source; None where the source states nothing.

    Parameters and multiply-adds are counts, accuracies percent of ImageNet's validation images.
    """
    text = files("convlens.explorer").joinpath("literature.csv").read_text(encoding="utf-8")
    return tuple(_row(row) for row in csv.DictReader(text.splitlines()))


def _row(row: dict[str, str]) -> dict[str, Any]:
    return {
        "set": row["set"],
        "source": row["source"],
        "network": row["network"],
        "family": row["family"],
        "parameters": _times(row["parameters_m"], 1e6),
        "macs": _times(row["macs_g"], 1e9),
        "top1": _times(row["top1"], 1),
        "top5": _times(row["top5"], 1),
        "note": row["note"],
        "note_ru": row["note_ru"],
    }


def _times(text: str, factor: float) -> float | None:
    return float(text) * factor if text else None
