"""`convlens explore`: the web pages, on this machine."""

import sys
import webbrowser
from pathlib import Path

from convlens.choosing.frontier import FILE, read_frontier
from convlens.choosing.study import is_study
from convlens.classifiers import resolve
from convlens.errors import ConvlensError
from convlens.explorer import server
from convlens.explorer.lecture import read_lecture
from convlens.explorer.onnx_file import read_foreign
from convlens.explorer.session import Session
from convlens.explorer.shelf import ImageShelf
from convlens.explorer.subjects import Subjects

BARE = Path(":ours")
"""What `--lecture` alone stands for: the lecture that comes with the package."""


def explore(
    subject: str | None, *, weights: str | None, image: Path | None, lecture: Path | None, port: int | None,
    browser: bool
) -> int:  # fmt: skip
    """Open the explorer in the browser: interactive pages for the lecture, on your own network and image."""
    study = None
    if subject is not None and (is_study(subject) or Path(subject).name == FILE):
        study, subject = read_frontier(subject), None
    file = None if subject is None else read_foreign(Path(subject))
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
        images=ImageShelf(image),
        subjects=Subjects(opened, file),
        network=name,
        opened=opened,
        lecture=told,
        study=study,
    )
    listening = server.bind(port)

    def ready(address: str) -> None:
        # a run is what one wants to look into; a lecture begins at its beginning
        first = "/network" if file else "/accuracy?set=study" if study else ""
        first = "/inside" if opened and opened.kind == "run" else first
        first = "/?lecture=1" if lecture is not None else first
        print(f"Convlens explorer: {address}{first}   (Ctrl-C ends it)", flush=True)
        if browser and not webbrowser.open(address + first):
            print("no browser could be opened; open the address above", file=sys.stderr)

    server.serve(session, listening, when_ready=ready)
    return 0
