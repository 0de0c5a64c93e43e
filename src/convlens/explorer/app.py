"""The explorer's application: static ES modules, and a small JSON API that asks the library.

Conventions, for whoever adds a page (docs/explorer.md has them with an example):

- A page is one module `static/pages/<name>.js` with its settings and a `show` function, one entry in
  `static/core/pages.js`, and its words under `<name>.` in `static/text/en.json` and `ru.json`.
- What it computes is one file `api/<name>.py` with `routes(session) -> APIRouter`, listed in `ROUTES` below. Numbers
  come from `convlens.arithmetic`, `convlens.anatomy` and so on; a page draws them and computes none itself.
- A request is a frozen pydantic model that forbids unknown fields; an answer is plain JSON; a picture is a PNG.
  What the user can mend is a `ConvlensError`: it becomes `{"error": "one line"}` with status 400, shown on the page.
- Handlers are plain `def`: they run in the thread pool, so a slow one does not hold up the others.
- Nothing is loaded from elsewhere, no style or script is inline, and every setting of a page is in its address.
"""

from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles

from convlens.errors import ConvlensError
from convlens.explorer.api import (
    accuracy,
    convolution,
    dense,
    field,
    gradient,
    image,
    inside,
    lecture,
    network,
    opened,
    pictures,
    pooling,
    practice,
    run,
    signals,
)
from convlens.explorer.protection import Protection
from convlens.explorer.session import Session

STATIC = Path(__file__).parent / "static"

ROUTES: tuple[Callable[[Session], APIRouter], ...] = (
    opened.routes,
    pictures.routes,
    image.routes,
    convolution.routes,
    field.routes,
    network.routes,
    pooling.routes,
    signals.routes,
    inside.routes,
    dense.routes,
    accuracy.routes,
    gradient.routes,
    lecture.routes,
    practice.routes,
    run.routes,
)


def page_names() -> tuple[str, ...]:
    """The pages, in no particular order: one module in `static/pages` each."""
    return tuple(sorted(path.stem for path in (STATIC / "pages").glob("*.js")))


def create_app(session: Session) -> FastAPI:
    """Build the application around what one start of the explorer works on."""
    app = FastAPI(title="Convlens explorer", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.add_middleware(Protection)
    app.add_exception_handler(ConvlensError, _mendable)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(404, _nowhere)
    for routes in ROUTES:
        app.include_router(routes(session), prefix="/api")
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    for path in ("/", *(f"/{name}" for name in page_names())):
        app.add_api_route(path, _shell, methods=["GET", "HEAD"], include_in_schema=False)
    return app


def _shell() -> FileResponse:
    """Every page is the same document: the module of the page reads the address."""
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})


def _nowhere(request: Request, _: Exception) -> Response:
    """An address that leads nowhere: a page that says so and names the others; for a script, JSON."""
    path = request.url.path
    if path.startswith(("/api/", "/static/")) or request.method not in ("GET", "HEAD"):
        return JSONResponse({"error": f"there is nothing at {path}"}, status_code=404)
    return FileResponse(STATIC / "index.html", status_code=404, headers={"Cache-Control": "no-cache"})


def _mendable(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, status_code=400)


def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    return JSONResponse({"error": f"{where}: {first['msg']}"}, status_code=400)
