"""What the command was given to open: a network of the catalogue by name, or a run with its trained weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convlens import networks, runs
from convlens.errors import ConvlensError, unknown_name

if TYPE_CHECKING:
    from torch import nn

    from convlens.images import Preprocessing


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A network with trained weights, what it calls its classes, and how its images are prepared.

    Attributes:
        name: what it is called in addresses.
        network: in evaluation mode.
        size: (C, H, W) of its images.
        classes: names of its outputs, in order.
        preprocessing: from an image to its input.
        source: the data that it was trained on; empty when that is not known.
    """

    name: str
    network: "nn.Module"
    size: tuple[int, int, int]
    classes: tuple[str, ...]
    preprocessing: "Preprocessing"
    source: str = ""


def open_run(path: str | Path) -> Opened:
    """Open a run.

    Raises:
        ConvlensError: it is no run folder, or not a whole one.
    """
    folder = runs.open_folder(path)
    return Opened(
        name=folder.path.resolve().name,
        network=folder.load_network(),
        size=(folder.channels, *folder.size),
        classes=folder.classes,
        preprocessing=folder.preprocessing,
        source=folder.description.data.source,
    )


def open_subject(subject: str | None) -> tuple[str | None, Opened | None]:
    """Tell a run from a network's name.

    Returns:
        The name for addresses, and the run if it is one.

    Raises:
        ConvlensError: neither a network is called that nor is there a run.
    """
    if subject is None:
        return None, None
    if Path(subject).exists():
        opened = open_run(subject)
        return opened.name, opened
    if subject in networks.names():
        return subject, None
    if "/" in subject or "\\" in subject:
        raise ConvlensError(f"there is no run at {subject!r}; give a run folder or a network's name")
    raise unknown_name("network or run", subject, networks.names())
