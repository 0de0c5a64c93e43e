"""What the explorer was opened with, so that pages can start from it."""

from typing import Any

from fastapi import APIRouter

from convlens.explorer.session import Session


def routes(session: Session) -> APIRouter:
    """Build the route `/api/opened`."""
    router = APIRouter()

    @router.get("/opened")
    def opened() -> dict[str, Any]:
        opened_ = session.opened
        return {
            "network": session.network,
            "picture": "start" if "start" in session.images.names() else None,
            "run": opened_.name if opened_ and opened_.provenance.trained else None,
        }

    return router
