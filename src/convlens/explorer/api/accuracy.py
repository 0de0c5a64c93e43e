"""Size against accuracy: what the papers state, what the published weights reach, and what a study found."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from convlens.choosing.frontier import Entry, Frontier
from convlens.explorer.session import Session
from convlens.lessons.literature import Stated, papers, published

_SHOWN = ("source", "network", "family", "parameters", "macs", "top1", "top5", "note", "note_ru")


def routes(session: Session) -> APIRouter:
    """Build the routes under `/api/accuracy`."""
    router = APIRouter()

    @router.get("/accuracy")
    def literature() -> list[dict[str, Any]]:
        known = [_row("paper", row) for row in papers()] + [_row("weights", row) for row in published()]
        return known + (_rows_of(session.study) if session.study else [])

    return router


def _row(kind: str, row: Stated) -> dict[str, Any]:
    """One network and source; null where the source states nothing."""
    values = asdict(row)
    return {"set": kind, **{name: values[name] for name in _SHOWN}}


def _rows_of(study: Frontier) -> list[dict[str, Any]]:
    """The candidates that finished, on their own images, in the form of the others."""
    return [
        {
            "set": "study",
            "source": study.data,
            "network": entry.name,
            "family": "resnet" if entry.name == study.recommended else "other",  # the tone that stands out
            "parameters": entry.costs.parameters,
            "macs": entry.costs.macs,
            "top1": 100 * entry.top1,
            "top5": None,
            "note": _note(study, entry, f"95 % interval {entry.low:.1%} to {entry.high:.1%}", "recommended", "ms"),
            "note_ru": _note(
                study, entry, f"95 %-й интервал от {entry.low:.1%} до {entry.high:.1%}", "рекомендуется", "мс"
            ),
        }
        for entry in study.finished
        if entry.costs is not None and entry.top1 is not None
    ]


def _note(study: Frontier, entry: Entry, interval: str, recommended: str, milliseconds: str) -> str:
    parts = [f"{study.split}, {interval}"]
    if entry.costs and entry.costs.latency_ms is not None:
        parts.append(f"{entry.costs.latency_ms:.3g} {milliseconds}")
    return ", ".join([*parts, *([recommended] if entry.name == study.recommended else [])])
