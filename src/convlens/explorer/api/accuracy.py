"""Size against accuracy: what the papers state, and what the published weights reach."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from convlens.explorer.session import Session
from convlens.lessons.literature import Stated, papers, published

_SHOWN = ("source", "network", "family", "parameters", "macs", "top1", "top5", "note", "note_ru")


def routes(_: Session) -> APIRouter:
    """Build the routes under `/api/accuracy`."""
    router = APIRouter()

    @router.get("/accuracy")
    def literature() -> list[dict[str, Any]]:
        return [_row("paper", row) for row in papers()] + [_row("weights", row) for row in published()]

    return router


def _row(kind: str, row: Stated) -> dict[str, Any]:
    """One network and source; null where the source states nothing."""
    values = asdict(row)
    return {"set": kind, **{name: values[name] for name in _SHOWN}}
