"""The lecture that is told: the user's own, or ours in a language."""

from typing import Any

from fastapi import APIRouter

from convlens.explorer.lecture import our_lecture
from convlens.explorer.session import Session


def routes(session: Session) -> APIRouter:
    """Build the route `/api/lecture`."""
    router = APIRouter()

    @router.get("/lecture")
    def steps(language: str = "en") -> dict[str, Any]:
        return (session.lecture or our_lecture(language)).to_dict()

    return router
