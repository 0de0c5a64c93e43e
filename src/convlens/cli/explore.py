"""`convlens explore`: the web pages, on this machine."""

from pathlib import Path

from convlens.errors import ConvlensError

BARE = Path(":ours")
"""What `--lecture` alone stands for: the lecture that comes with the package."""


def explore(
    subject: str | None = None,
    *,
    weights: str | None = None,
    image: Path | None = None,
    lecture: Path | None = None,
    port: int | None = None,
    browser: bool = True,
) -> int:
    """Open the explorer in the browser: the lecture as something to touch, on your own network and image.

    It answers on this machine only, loads nothing from elsewhere, and keeps what is uploaded in memory. Ctrl-C ends it.

    Example: convlens explore runs/train/photos --image cat.jpg

    Args:
        subject: A run folder, an artifact, an ONNX file from elsewhere (drawn on page 7), a network's name, or code
            such as my_net.py:Net, which is run as your own, with all that it may do.
        weights: For a network's name or code: published weights, such as imagenet1k_v1, or a file of weights.
        image: a picture to start with.
        lecture: tell the lecture with the arrow keys: ours, or your own from a YAML file (docs/explorer.md).
        port: the port to answer on; 0 for any free one. 8765 when left out, or a free one if that is taken.
        browser: open the browser; `--no-browser` only prints the address.
    """
    import sys
    import webbrowser
    from importlib.util import find_spec

    if any(find_spec(needed) is None for needed in ("fastapi", "uvicorn")):
        raise ConvlensError("the explorer needs FastAPI and uvicorn: pip install 'convlens[serve]'")
    from convlens.classifiers import resolve
    from convlens.explorer import server
    from convlens.explorer.lecture import read_lecture
    from convlens.explorer.onnx_file import is_foreign, read_onnx
    from convlens.explorer.session import Session
    from convlens.explorer.shelf import ImageShelf
    from convlens.explorer.subjects import Subjects

    file = read_onnx(Path(subject)) if subject is not None and is_foreign(Path(subject)) else None
    opened = None if subject is None or file is not None else resolve(subject, weights=weights)
    if opened is not None:
        opened.image_shape  # noqa: B018 - what is wrong with it is said before anything opens
        if opened.kind == "code":
            opened.classes  # noqa: B018
    elif weights is not None:
        raise ConvlensError(
            "--weights goes with the name of a network; name one: convlens explore resnet18 --weights …"
        )
    named = opened or file
    name = named.name if named else None
    told = None if lecture in (None, BARE) else read_lecture(lecture)
    session = Session(
        images=ImageShelf(image), subjects=Subjects(opened, file), network=name, opened=opened, lecture=told
    )
    listening = server.bind(port)

    def ready(address: str) -> None:
        # a run is what one wants to look into; a lecture begins at its beginning
        first = (
            "/?lecture=1"
            if lecture is not None
            else "/network"
            if file
            else "/inside"
            if opened and opened.kind == "run"
            else ""
        )
        print(f"Convlens explorer: {address}{first}   (Ctrl-C ends it)", flush=True)
        if browser and not webbrowser.open(address + first):
            print("no browser could be opened; open the address above", file=sys.stderr)

    server.serve(session, listening, when_ready=ready)
    return 0
