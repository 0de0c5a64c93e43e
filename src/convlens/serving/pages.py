"""The page where one drops a picture, and the page that shows /openapi.json; nothing in them comes from elsewhere."""

from importlib.resources import files

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

_PAGES = {
    "/": ("index.html", "text/html"),
    "/docs": ("docs.html", "text/html"),
    "/page/index.js": ("index.js", "text/javascript"),
    "/page/docs.js": ("docs.js", "text/javascript"),
    "/page/style.css": ("style.css", "text/css"),
}


def add(api: FastAPI) -> None:
    """Serve the pages from memory."""
    for path, (name, media_type) in _PAGES.items():
        api.add_route(path, _page(name, media_type), methods=["GET"], include_in_schema=False)


def _page(name: str, media_type: str):  # type: ignore[no-untyped-def]
    content = files("convlens.serving").joinpath("page", name).read_bytes()

    async def page(_: Request) -> Response:
        return Response(content, media_type=media_type)

    return page
