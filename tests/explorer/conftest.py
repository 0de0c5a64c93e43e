"""One server and one browser for all tests of a worker; every page that a test opens is watched.

A test asks for `visit` and gets a page of the explorer in real Chromium. When the test ends, it fails if the page wrote
an error to the console or asked any other machine for anything.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Page

import convlens
from convlens.classifiers import resolve
from convlens.explorer import server as explorer_server
from convlens.explorer.app import create_app
from convlens.explorer.session import Session
from convlens.explorer.subjects import Subjects

Visit = Callable[..., Page]


class QuietServer(uvicorn.Server):
    """A server that runs in a thread of the tests and says when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answers = threading.Event()

    async def startup(self, sockets=None) -> None:
        await super().startup(sockets=sockets)
        self.answers.set()

    def capture_signals(self):
        return nullcontext()


@pytest.fixture(scope="session")
def run_path(tmp_path_factory) -> Path:
    """A run that was really trained, if only for a moment."""
    folder = tmp_path_factory.mktemp("explorer")
    return convlens.train("digits", network="lenet5", epochs=3, runs=str(folder), name="explored", quiet=True).path


@pytest.fixture(scope="session")
def run_name(run_path) -> str:
    return run_path.name


@pytest.fixture(scope="session")
def explorer_session(run_path) -> Session:
    opened = resolve(run_path)
    return Session(subjects=Subjects(opened), opened=opened)


@contextmanager
def answering(session: Session) -> Iterator[str]:
    """Serve a session in a thread, and give the address."""
    listening = explorer_server.bind(0)
    config = uvicorn.Config(create_app(session), log_level="error", access_log=False, lifespan="off", ws="none")
    running = QuietServer(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
    thread.start()
    assert running.answers.wait(30)
    yield explorer_server.address(listening)
    running.should_exit = True
    thread.join(30)
    listening.close()


@pytest.fixture(scope="session")
def address(explorer_session) -> Iterator[str]:
    """Where the explorer answers."""
    with answering(explorer_session) as where:
        yield where


@pytest.fixture
def visit(browser, address) -> Iterator[Visit]:
    """Open an address of the explorer: `visit("/convolution?stride=2", width=390, theme="dark", language="ru")`."""
    contexts, wrong = [], []

    def watch(route) -> None:
        if route.request.url.startswith((address, "blob:", "data:")):
            route.continue_()
        else:
            wrong.append(f"a request left the machine: {route.request.url}")
            route.abort()

    def listen(message) -> None:
        if message.type in ("error", "warning"):
            wrong.append(f"console {message.type}: {message.text}")

    def visit(path: str = "/", *, width: int = 1360, theme: str = "light", language: str = "en", **options):
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=theme,
            locale={"en": "en-GB", "ru": "ru-RU"}[language],
            reduced_motion="reduce",
            **options,
        )
        contexts.append(context)
        context.set_default_timeout(20_000)
        context.route("**/*", watch)
        page = context.new_page()
        page.on("console", listen)
        page.on("pageerror", lambda error: wrong.append(f"uncaught: {error}"))
        page.goto(address + path)
        page.locator("#content[data-shown]").wait_for()
        return page

    visit.tolerated = wrong.clear  # type: ignore[attr-defined]
    yield visit
    for context in contexts:
        context.close()
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def screenshot(request) -> Callable[..., None]:
    """Keep a picture of a page for the docs, when `CONVLENS_SCREENSHOTS` is set; `make screenshots` does."""

    def keep(page, name: str, **options) -> None:
        if "CONVLENS_SCREENSHOTS" in os.environ:
            folder = Path(request.config.rootpath) / "docs" / "pictures" / "explorer"
            folder.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=folder / f"{name}.png", **options)

    return keep
