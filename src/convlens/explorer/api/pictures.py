"""The pictures: which there are, one as a PNG, and uploading one."""

from typing import Any

from fastapi import APIRouter, Request, Response

from convlens.errors import ConvlensError
from convlens.explorer.session import Session
from convlens.explorer.shelf import MOST_UPLOAD_BYTES, Picture, png, scaled


def routes(session: Session) -> APIRouter:
    """Build the routes under `/api/pictures`."""
    router = APIRouter()
    shelf = session.images

    @router.get("/pictures")
    def list_pictures() -> list[dict[str, Any]]:
        return [_describe(shelf.get(name)) for name in shelf.names()]

    @router.get("/pictures/{name}")
    def show_picture(name: str, longest: int = 1024) -> Response:
        if not 1 <= longest <= 1024:
            raise ConvlensError(f"longest={longest}: ask for a side from 1 to 1024 pixels")
        return Response(png(scaled(shelf.get(name).pixels, longest)), media_type="image/png")

    @router.post("/pictures")
    async def upload_picture(request: Request, title: str = "") -> dict[str, Any]:
        from starlette.concurrency import run_in_threadpool

        content = await _read_at_most(request, MOST_UPLOAD_BYTES)
        return _describe(await run_in_threadpool(shelf.add, content, title))

    @router.delete("/pictures/{name}")
    def remove_picture(name: str) -> list[dict[str, Any]]:
        shelf.remove(name)
        return [_describe(shelf.get(each)) for each in shelf.names()]

    return router


async def _read_at_most(request: Request, limit: int) -> bytes:
    """Read a body, and stop as soon as it is larger than allowed: the length that a client declares may be wrong."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit:
            raise ConvlensError(f"the file is larger than {limit // 2**20} MB; use a smaller one")
    return bytes(content)


def _describe(picture: Picture) -> dict[str, Any]:
    height, width, channels = picture.pixels.shape
    return {
        "name": picture.name,
        "height": height,
        "width": width,
        "channels": channels,
        "credit": picture.credit,
        "title": picture.title,
        "reduced_from": picture.reduced_from,
    }
