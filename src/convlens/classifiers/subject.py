"""What is to be shipped: a network with its weights, and all that an artifact has to say about it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlens import networks, runs
from convlens.artifacts.manifest import Manifest
from convlens.errors import ConvlensError
from convlens.images import Preprocessing
from convlens.predicting.engines import Precision
from convlens.predicting.versions import versions

if TYPE_CHECKING:
    from torch import nn

_ON_THE_CARD = ("name", "paper", "year", "parameters", "macs", "top1", "top5", "accuracy_source")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network with its weights, and where they come from.

    Args:
        name: for messages and file names.
        network: in evaluation mode.
        choice: the arguments that `networks.create` builds it from.
        classes: the class names, in the order of the outputs.
        preprocessing: from an image to the network's input.
        run: name and fingerprints of the run; empty for a network from the catalogue.
        weights_licence: under which terms the weights may be used.
        data: the data that the run was trained on, None if there is no run.
        folder: the run's folder.
    """

    name: str
    network: "nn.Module"
    choice: Mapping[str, Any]
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    run: Mapping[str, Any]
    weights_licence: str
    data: str | None = None
    folder: Path | None = None

    @property
    def card(self) -> dict[str, Any]:
        """What is published about the network."""
        card = networks.card(self.choice["name"])
        return {entry: getattr(card, entry) for entry in _ON_THE_CARD}

    def manifest(self, precision: Precision, *, inside: bool = False) -> Manifest:
        """What an artifact of it has to say, but for its proof."""
        return Manifest(
            network=dict(self.choice),
            classes=self.classes,
            preprocessing=self.preprocessing,
            preprocessing_inside=inside,
            precision=precision,
            card=self.card,
            run=dict(self.run),
            weights_licence=self.weights_licence,
            versions=versions(),
        )


def open_subject(
    source: str | Path,
    *,
    weights: str | Path | None = None,
    classes: Sequence[str] | None = None,
    size: tuple[int, int] | None = None,
) -> Subject:
    """Open a run, or build a network of the catalogue.

    Args:
        source: a run folder or the name of a network.
        weights: for a network: published weights or a file; initial weights when None.
        classes: for a network: its class names, in the order of the outputs.
        size: for a network: (H, W) of its input; the card's, or that of the published weights, when None.

    Raises:
        ConvlensError: there is neither, or weights come without class names.
    """
    if runs.is_run(source) or Path(source).is_dir():
        if any(option is not None for option in (weights, classes, size)):
            raise ConvlensError(
                f"{source} is a run, which has weights, classes and a size of its own; leave those options out"
            )
        return _from_run(runs.open_folder(source))
    if Path(source).suffix and Path(source).is_file():
        raise ConvlensError(f"{source} is a file; export takes a run folder or the name of a network")
    return _from_catalogue(str(source), weights, classes, size)


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read class names, one a line, in the order of the outputs.

    Raises:
        ConvlensError: the file is missing, has no names, or names a class twice.
    """
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConvlensError(f"the class names {path} cannot be read: {error}") from None
    twice = sorted({name for name in names if names.count(name) > 1})
    if not names or twice:
        fault = f"names {twice[0]!r} twice" if twice else "is empty"
        raise ConvlensError(f"the file of class names {path} {fault}; write each class once, one a line")
    return tuple(names)


def _from_run(folder: runs.RunFolder) -> Subject:
    choice = asdict(folder.description.network)
    digest = hashlib.sha256(folder.weights_path().read_bytes()).hexdigest()
    return Subject(
        name=folder.network_name,
        network=folder.load_network(),
        choice=choice | {"size": list(choice["size"])},
        classes=folder.classes,
        preprocessing=folder.preprocessing,
        run={
            "name": folder.description.name,
            "created": folder.description.created,
            "weights_sha256": digest,
            "data_fingerprint": folder.fingerprint,
        },
        weights_licence="for the owner of the run to decide: trained by them on their data",
        data=str(folder.description.data.source),
        folder=folder.path,
    )


def _from_catalogue(
    name: str, weights: str | Path | None, classes: Sequence[str] | None, size: tuple[int, int] | None
) -> Subject:
    card = networks.card(name)
    published = None if weights is None else card.published(weights)
    names = _class_names(name, weights, classes)
    preprocessing = _at_size(published.preprocessing if published else card.preprocessing, size)
    count = len(names) if weights is None else None  # weights bring their own; a new head would be untrained
    network = networks.create(name, classes=count, size=preprocessing.size, weights=weights)
    _check_count(network, preprocessing, names, weights)
    choice = {"name": name, "classes": len(names), "channels": card.channels, "dropout": None}
    return Subject(
        name=name,
        network=network.eval(),
        choice=choice | {"size": list(preprocessing.size)},
        classes=names,
        preprocessing=preprocessing,
        run={},
        weights_licence=_licence(weights, published),
    )


def _class_names(name: str, weights: str | Path | None, classes: Sequence[str] | None) -> tuple[str, ...]:
    if classes is not None:
        return tuple(classes)
    if weights is None:
        return tuple(f"class {i}" for i in range(networks.card(name).classes))
    if known := networks.class_names(name, weights):
        return known
    raise ConvlensError(
        f"the weights {str(weights)!r} do not say what their classes are called; "
        "give --classes with a file of names, one a line, in the order of the outputs"
    )


def _check_count(
    network: "nn.Module", preprocessing: Preprocessing, names: Sequence[str], weights: str | Path | None
) -> None:
    from convlens.anatomy import inspect

    (shape,) = inspect(network.eval(), (preprocessing.channels, *preprocessing.size)).output_shapes
    if shape[-1] != len(names):
        raise ConvlensError(
            f"the weights {str(weights)!r} tell {shape[-1]} classes apart and {len(names)} names were given; "
            "give one name for each, in the order of the outputs"
        )


def _licence(weights: str | Path | None, published: networks.PublishedWeights | None) -> str:
    if weights is None:
        return "none needed: initial weights, never trained"
    if published:
        return (
            f"{published.name}, published with torchvision under BSD-3-Clause; "
            "trained on ImageNet, whose terms allow research and education"
        )
    return f"unknown: read from the file {Path(weights).name}"


def _at_size(preprocessing: Preprocessing, size: tuple[int, int] | None) -> Preprocessing:
    """The same preprocessing for images of another size; what is cut off stays the same share."""
    if size is None or size == preprocessing.size:
        return preprocessing
    resize = preprocessing.resize
    if isinstance(resize, int):
        resize = max(round(resize * side / old) for side, old in zip(size, preprocessing.size, strict=True))
    elif resize is not None:
        resize = size
    return replace(preprocessing, size=size, resize=resize)
