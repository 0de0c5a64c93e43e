"""Exercises: one drawn from a seed, and whether an answer is right; the solution comes with the verdict."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from convlens.explorer.practice import draw
from convlens.explorer.session import Session


class Answered(BaseModel):
    """An exercise and the number that was given; None to see the solution."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    seed: int = Field(ge=0, le=999_999)
    answer: float | None = None


def routes(_: Session) -> APIRouter:
    """Build the routes under `/api/practice`."""
    router = APIRouter()

    @router.get("/practice")
    def exercise(kind: str, seed: int = 1) -> dict[str, Any]:
        drawn = draw(kind, seed).to_dict()
        return {key: drawn[key] for key in ("kind", "given", "grids")}

    @router.post("/practice")
    def check(asked: Answered) -> dict[str, Any]:
        drawn = draw(asked.kind, asked.seed)
        return {"right": asked.answer == drawn.answer, "answer": drawn.answer, "solution": drawn.solution}

    return router
