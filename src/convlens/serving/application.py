"""The HTTP interface, as FastAPI describes it in /openapi.json."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from convlens import __version__
from convlens.serving import answers, pages
from convlens.serving.bodies import DisconnectedError, while_wanted
from convlens.serving.measurements import CONTENT_TYPE
from convlens.serving.openapi_description import ANSWER, PICTURE, PREDICT_BODY, REFUSALS
from convlens.serving.refusals import RefusalError
from convlens.serving.request_gate import FAULT, Gate, Passage
from convlens.serving.request_pipeline import Pipeline
from convlens.serving.service import Service
from convlens.serving.uploads import media_type, refuse_encoded


def build(service: Service, on_start: Callable[[], Awaitable[None]]) -> Gate:
    """Build the ASGI application.

    Args:
        service: what the worker knows.
        on_start: awaited inside the event loop before the server listens.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await on_start()
        yield
        await service.close()

    api = FastAPI(
        title="Convlens", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        redirect_slashes=False,  # to an address that the Host header names
        description="Classes of images, by a convolutional network.",
    )  # fmt: skip
    _add_predict(api, service)
    _add_explain(api, service)
    _add_state(api, service)
    pages.add(api)
    _add_failures(api)
    return Gate(api, service, lambda request: answer_images(service, request))


def _add_predict(api: FastAPI, service: Service) -> None:
    @api.post("/predict", responses={200: ANSWER, **REFUSALS}, openapi_extra={"requestBody": PREDICT_BODY})
    async def predict(
        request: Request,
        top: Annotated[int | None, Query(ge=1, description="How many classes to give for each image.")] = None,  # noqa: ARG001
    ) -> Response:
        """Give the likeliest classes of one or many images, as `convlens predict --json` prints them."""
        return await answer_images(service, request)  # the gate goes there directly; this describes it


def _add_explain(api: FastAPI, service: Service) -> None:

    @api.post(
        "/explain",
        response_class=Response,
        responses={200: PICTURE, **REFUSALS},
        openapi_extra={"requestBody": PREDICT_BODY},
    )
    async def explain(
        request: Request,
        method: Annotated[
            str | None, Query(description="gradcam, gradcam++, eigencam, occlusion or integrated-gradients.")
        ] = None,
        target: Annotated[str | None, Query(description="Name of the class; the likeliest unless given.")] = None,
    ) -> Response:
        """Show where on one image the network saw what it answers."""
        _pipeline(service)
        assert service.heat is not None
        content_type = request.headers.get("content-type")
        media_type(content_type)
        refuse_encoded(request.headers)
        with service.bodies.reserving() as reservation:
            pieces = await service.bodies.read(request.receive, request.headers, reservation)
            (upload,) = await service.reading.uploads(pieces, content_type, max_files=1)
            work = service.heat.png(upload.content, method, target)
            return Response(await while_wanted(work, request.receive), media_type="image/png")


async def answer_images(service: Service, request: Request) -> Response:
    """Answer POST /predict.

    Raises:
        RefusalError: the request, or all images in it, cannot be answered.
    """
    pipeline = _pipeline(service)
    pipeline.refuse_when_full()
    top = _top(request, service.settings.top)
    content_type = request.headers.get("content-type")
    media_type(content_type)
    refuse_encoded(request.headers)
    with service.bodies.reserving() as reservation:
        pieces = await service.bodies.read(request.receive, request.headers, reservation)
        uploads = await service.reading.uploads(pieces, content_type, max_files=service.settings.max_files)
        given = await while_wanted(pipeline.answer(uploads, top), request.receive)
        size = reservation.size
    _note(request, service, given, size)
    return answers.predictions(given)


def _top(request: Request, default: int) -> int:
    text = request.query_params.get("top", str(default)) if request.scope["query_string"] else str(default)
    if not (text.isascii() and text.isdecimal() and 1 <= len(text) < 10 and int(text) >= 1):
        raise RefusalError(400, f"top is {text[:40]!r}; ask for a whole number of classes, at least 1")
    return int(text)


def _add_state(api: FastAPI, service: Service) -> None:
    @api.get("/health")
    async def health() -> dict[str, str]:
        """Say that the process is alive."""
        return {"status": "alive"}

    @api.get("/ready", responses={503: REFUSALS[503]})
    async def ready() -> dict[str, str]:
        """Say whether requests are answered: 503 until the network is warm, and again once the server is stopping."""
        _pipeline(service)
        if service.draining:
            raise RefusalError(503, "the server is being stopped")
        return {"status": "ready"}

    @api.get("/info", responses={503: REFUSALS[503]})
    async def info() -> dict[str, Any]:
        """Say what answers: network, classes, preprocessing, fingerprint, runtime, limits."""
        _pipeline(service)
        return service.info()

    @api.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Give the counts that Prometheus collects."""
        return Response(service.measurements.text(), media_type=CONTENT_TYPE)


def _add_failures(api: FastAPI) -> None:
    async def refuse(request: Request, refusal: RefusalError) -> Response:
        passage: Passage = request.scope["state"]["passage"]
        return await passage.refuse(refusal)

    async def refusal(request: Request, error: Exception) -> Response:
        assert isinstance(error, RefusalError)
        return await refuse(request, error)

    async def disconnected(_: Request, __: Exception) -> Response:
        return Response(status_code=499)  # as nginx counts it; nobody is there to read it

    async def fault(request: Request, _: Exception) -> Response:
        return await refuse(request, RefusalError(500, FAULT))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = {
            404: "there is nothing at this address; see /docs",
            405: "this address takes another method; see /docs",
        }
        text = message.get(error.status_code, str(error.detail))
        return await refuse(request, RefusalError(error.status_code, text, dict(error.headers or {})))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        text = f"{first['loc'][-1]} is {str(first.get('input'))[:40]!r}; {first['msg'].lower()}"
        return await refuse(request, RefusalError(400, text))

    api.add_exception_handler(RefusalError, refusal)
    api.add_exception_handler(DisconnectedError, disconnected)
    api.add_exception_handler(Exception, fault)
    api.add_exception_handler(HTTPException, http)
    api.add_exception_handler(RequestValidationError, invalid)


def _pipeline(service: Service) -> Pipeline:
    if service.pipeline is None or not service.readiness.complete:
        raise RefusalError(503, "the network is being loaded; try again shortly", {"Retry-After": "1"})
    return service.pipeline


def _note(request: Request, service: Service, given: list[dict[str, Any]], size: int) -> None:
    unreadable = sum("error" in answer for answer in given)
    service.measurements.images(len(given) - unreadable, unreadable)
    request.scope["state"]["passage"].noted = {"images": len(given), "unreadable": unreadable, "bytes": size}
