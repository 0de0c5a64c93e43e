"""`convlens explore`: the web pages, on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING

from convlens.errors import ConvlensError

if TYPE_CHECKING:
    from convlens.explorer.opening import Opened


def explore(
    subject: str | None = None,
    *,
    weights: str | None = None,
    image: Path | None = None,
    port: int | None = None,
    browser: bool = True,
) -> int:
    """Open the explorer in the browser: the lecture as something to touch, on your own network and image.

    It answers on this machine only, loads nothing from elsewhere, and keeps what is uploaded in memory. Ctrl-C ends it.

    Example: convlens explore runs/train/photos --image cat.jpg

    Args:
        subject: a run folder, a network's name, or code such as my_net.py:Net, for the pages that look into a network.
            Code that you name is run as your own, with all that it may do.
        weights: with a network's name: the name of published weights, such as imagenet1k_v1, or a file of weights.
        image: a picture to start with.
        port: the port to answer on; 0 for any free one. 8765 when left out, or a free one if that is taken.
        browser: open the browser; `--no-browser` only prints the address.
    """
    import sys
    import webbrowser
    from importlib.util import find_spec

    if any(find_spec(needed) is None for needed in ("fastapi", "uvicorn")):
        raise ConvlensError("the explorer needs FastAPI and uvicorn: pip install 'convlens[serve]'")
    from convlens.explorer import server
    from convlens.explorer.session import Session
    from convlens.explorer.shelf import ImageShelf
    from convlens.explorer.subjects import Subjects

    name, opened = _open(subject, weights)
    session = Session(images=ImageShelf(image), subjects=Subjects(opened), network=name, opened=opened)
    listening = server.bind(port)

    def ready(address: str) -> None:
        print(f"Convlens explorer: {address}   (Ctrl-C ends it)", flush=True)
        if browser and not webbrowser.open(address):
            print("no browser could be opened; open the address above", file=sys.stderr)

    server.serve(session, listening, when_ready=ready)
    return 0


def _open(subject: str | None, weights: str | None) -> "tuple[str | None, Opened | None]":
    """What the pages look into: its name, and the network with its weights where it has some."""
    from convlens import networks
    from convlens.explorer.opening import open_code, open_subject, open_weights

    opened: Opened | None
    if weights is not None:
        if subject not in networks.names():
            raise ConvlensError(f"--weights goes with the name of a network, not with {subject!r}; name one: resnet18")
        opened = open_weights(subject, weights)
        return opened.name, opened
    if subject is not None and ":" in subject and not Path(subject).exists():
        from convlens.cli.module_source import open_module

        found = open_module(subject, weights=True)
        opened = open_code(found.name, found.module, found.sizes[0])
        return opened.name, opened
    return open_subject(subject)
