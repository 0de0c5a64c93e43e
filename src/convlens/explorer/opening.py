"""What the command was given to open: a network of the catalogue by name, or a run with its trained weights."""

import threading
from dataclasses import dataclass, field
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
        plain: whether nothing says how its images are prepared, so that they are only scaled to 0..1.
        lock: held while the network runs, is recorded or is read: recording puts stand-ins in place of its weights, and
            another request must not meet them.
    """

    name: str
    network: "nn.Module"
    size: tuple[int, int, int]
    classes: tuple[str, ...]
    preprocessing: "Preprocessing"
    source: str = ""
    plain: bool = False
    lock: "threading.RLock" = field(default_factory=threading.RLock, repr=False, compare=False)


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


def open_weights(name: str, weights: str) -> Opened:
    """Open a network of the catalogue with published weights, or with those in a file, whose classes are numbered.

    Raises:
        ConvlensError: no network is called that, or the weights are not its own.
    """
    from convlens.anatomy import inspect

    card = networks.card(name)
    network = networks.create(name, weights=weights).eval()
    published = card.published(weights)
    preprocessing = published.preprocessing if published else card.preprocessing
    size = (preprocessing.channels, *preprocessing.size)
    (shape,) = inspect(network, size).output_shapes
    return Opened(
        name=f"{name} ({Path(weights).stem})",
        network=network,
        size=size,
        classes=networks.class_names(name, weights) or tuple(str(number) for number in range(shape[-1])),
        preprocessing=preprocessing,
    )


def open_code(name: str, module: "nn.Module", size: tuple[int, ...]) -> Opened:
    """Open anybody's module: its classes are numbered, and its images only scaled to 0..1.

    Raises:
        ConvlensError: it does not take one image, or fails on it.
    """
    from convlens.anatomy import inspect
    from convlens.images import Preprocessing

    if len(size) != 3:
        raise ConvlensError(f"{name} takes an input of shape {size}; the explorer needs images, (C, H, W)")
    channels, height, width = size
    shapes = inspect(module, size).output_shapes
    if not shapes or len(shapes[0]) != 2:
        shown = shapes[0] if shapes else "nothing"
        raise ConvlensError(f"{name} gives {shown}; the explorer needs one score a class, (N, classes)")
    return Opened(
        name=Path(name).name,
        network=module.eval(),
        size=(channels, height, width),
        classes=tuple(str(number) for number in range(shapes[0][1])),
        preprocessing=Preprocessing(
            size=(height, width),
            resize=(height, width) if height != width else height,
            crop=None if height != width else "center",
            mean=(0.0,) * channels,
            std=(1.0,) * channels,
            channels=channels,
        ),
        plain=True,
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
    if Path(subject).suffix == ".py" and Path(subject).is_file():
        raise ConvlensError(f"{subject!r} is code; say what in it makes the network, as in {subject}:Net")
    if Path(subject).is_file():
        raise ConvlensError(f"{subject!r} is a file, in whose layers one cannot look; give the run that it came from")
    if Path(subject).exists():
        opened = open_run(subject)
        return opened.name, opened
    if subject in networks.names():
        return subject, None
    if "/" in subject or "\\" in subject:
        raise ConvlensError(f"there is no run at {subject!r}; give a run folder or a network's name")
    raise unknown_name("network or run", subject, networks.names())
