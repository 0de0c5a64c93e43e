"""`convlens explore`: the web pages, on this machine."""

from pathlib import Path


def explore(
    subject: str | None = None,
    *,
    image: Path | None = None,
    port: int | None = None,
    browser: bool = True,
) -> int:
    """Open the explorer in the browser: the lecture as something to touch, on your own network and image.

    It answers on this machine only, loads nothing from elsewhere, and keeps what is uploaded in memory. Ctrl-C ends it.

    Example: convlens explore runs/train/photos --image cat.jpg

    Args:
        subject: a run folder or a network's name, for the pages that look into a network.
        image: a picture to start with.
        port: the port to answer on; 0 for any free one. 8765 when left out, or a free one if that is taken.
        browser: open the browser; `--no-browser` only prints the address.
    """
    import sys
    import webbrowser

    from convlens.errors import ConvlensError

    try:
        from convlens.explorer import server
    except ModuleNotFoundError as error:
        if error.name not in {"fastapi", "uvicorn"}:
            raise
        raise ConvlensError("the explorer needs FastAPI and uvicorn: pip install 'convlens[serve]'") from None
    from convlens.explorer.opening import open_subject
    from convlens.explorer.session import Session
    from convlens.explorer.shelf import ImageShelf
    from convlens.explorer.subjects import Subjects

    name, opened = open_subject(subject)
    session = Session(images=ImageShelf(image), subjects=Subjects(opened), network=name, opened=opened)
    listening = server.bind(port)

    def ready(address: str) -> None:
        print(f"Convlens explorer: {address}   (Ctrl-C ends it)", flush=True)
        if browser and not webbrowser.open(address):
            print("no browser could be opened; open the address above", file=sys.stderr)

    server.serve(session, listening, when_ready=ready)
    return 0
