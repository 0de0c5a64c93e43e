"""What a user may name: a run, an artifact, a network of the catalogue, code, or a module in memory."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from convlens import networks, runs
from convlens.artifacts.artifact_formats import FORMATS
from convlens.artifacts.artifact_predictor import open_artifact
from convlens.classifiers.classifier import Classifier, Kind, Provenance
from convlens.classifiers.code import load_weights, module_from_code, usual_shape
from convlens.errors import ConvlensError, unknown_name
from convlens.networks import PublishedWeights

if TYPE_CHECKING:
    from torch import nn

_WEIGHTS = (".pt", ".pth", ".ckpt", ".pkl", ".pickle")  # files that hold weights and no network


def resolve(
    source: "str | Path | nn.Module | Classifier",
    *,
    weights: str | Path | None = None,
    classes: Sequence[str] | None = None,
    size: tuple[int, int] | None = None,
    trained: bool = False,
) -> Classifier:
    """Find what `source` names. Nothing is computed or downloaded before its weights are asked for.

    Args:
        source: a run folder; an artifact that `export` wrote; the name of a network; `file.py:Name` or
            `package.module:name`, which is run as the user's own code; or a module.
        weights: for a network or code: published weights by name, or a file. A network's name alone takes the published
            weights that are installed, else initial ones.
        classes: for a network or code: the class names, in the order of the outputs. A network with as many names and
            no weights has a new head.
        size: for a network or code: (H, W) of its input; what its card, its weights or the code says when None.
        trained: whether initial weights are an error.

    Raises:
        ConvlensError: nothing of that name, options that it has no use for, or initial weights where trained ones are
            needed. A file of weights holds no network, may hold code, and is never unpickled.
    """
    if isinstance(source, Classifier):
        return source
    if not isinstance(source, str | Path):
        return _from_module(source, "module", type(source).__name__, weights, classes, size)
    name, path = str(source), Path(source)
    if runs.is_run(path) or path.is_dir():
        _refuse_options(name, "a run", weights=weights, classes=classes, size=size)
        return _from_run(name, runs.open_folder(path, weights=trained))
    if path.suffix == ".py" and path.is_file():
        raise ConvlensError(f"{name!r} is code; say what in it makes the network, as in {name}:Net")
    if path.suffix in _suffixes() and (path.is_file() or not networks.is_name(name)):
        _refuse_options(name, "an artifact", weights=weights, classes=classes, size=size)
        return _from_artifact(name, path)
    if path.suffix in _WEIGHTS:
        raise ConvlensError(
            f"{name} holds weights, not a network; name the network that they are for, and add --weights {path.name}"
        )
    if ":" in name:
        return _from_module(module_from_code(name), "code", name, weights, classes, size)
    if networks.is_name(name):
        return _from_catalogue(name, weights, classes, size, trained)
    if path.exists():
        raise ConvlensError(
            f"{name!r} is neither a run folder nor an artifact ({', '.join(sorted(_suffixes()))}); give one of them"
        )
    if "/" in name or "\\" in name:
        raise ConvlensError(f"there is nothing at {name!r}; give a run folder, an artifact, or a network's name")
    raise unknown_name("network, run or artifact", name, networks.names())


def _suffixes() -> set[str]:
    return {suffix for row in FORMATS.values() for suffix in row.suffixes}


def _refuse_options(name: str, what: str, **options: object) -> None:
    given = [option for option, value in options.items() if value is not None]
    if given:
        asked = " and ".join(f"--{option}" for option in given)
        raise ConvlensError(f"{name} is {what}, which has weights, classes and a size of its own; leave {asked} out")


def _from_run(source: str, folder: runs.RunFolder) -> Classifier:
    choice = asdict(folder.description.network)
    return Classifier(
        source=source,
        kind="run",
        name=folder.path.resolve().name,
        shape=(folder.channels, *folder.size),
        prepared=folder.preprocessing,
        names=folder.classes,
        names_fit=True,
        provenance=Provenance(
            choice=choice | {"size": list(choice["size"])},
            trained=True,
            licence="for the owner of the run to decide: trained by them on their data",
            run={
                "name": folder.description.name,
                "created": folder.description.created,
                "data_fingerprint": folder.fingerprint,
            },
            data=str(folder.description.data.source),
            columns=folder.config.get("columns"),
            folder=folder.path,
            weights_file=folder.weights_path(),
        ),
        structure=lambda: _outline(folder.build_network),
        load=folder.load_network,
    )


def _from_artifact(source: str, path: Path) -> Classifier:
    opened = open_artifact(path)
    manifest = opened.manifest
    choice = dict(manifest.network)

    def build() -> "nn.Module":
        if not networks.is_name(choice["name"]):
            raise ConvlensError(
                f"{source} holds {choice['name']!r}, which is not a network of the catalogue; give its code"
            )
        return _outline(lambda: networks.create(**choice | {"size": tuple(choice["size"])}))

    return Classifier(
        source=source,
        kind="artifact",
        name=path.stem,
        shape=(manifest.preprocessing.channels, *manifest.preprocessing.size),
        prepared=manifest.preprocessing,
        names=manifest.classes,
        names_fit=True,
        provenance=Provenance(choice=choice, trained=True, licence=manifest.weights_licence, run=dict(manifest.run)),
        structure=build,
        load=opened.network if opened.has_network else None,
        artifact=opened,
    )


def _from_catalogue(
    name: str,
    weights: str | Path | None,
    classes: Sequence[str] | None,
    size: tuple[int, int] | None,
    trained: bool,
) -> Classifier:
    card = networks.card(name)
    if weights is None and classes is None and (installed := networks.installed_weights(name)):
        weights = installed.name
    if weights is None and trained:
        raise ConvlensError(_without_weights(name))
    published = None if weights is None else card.published(weights)
    preprocessing = (published.preprocessing if published else card.preprocessing).at_size(size)
    names = _class_names(name, weights, classes)
    if trained and names is None:
        raise nameless(weights)
    choice = {"name": name, "classes": len(names) if names else None, "channels": card.channels, "dropout": None}

    def create(given: str | Path | None) -> "nn.Module":
        import torch

        # a file of weights brings its own number of classes: a head for others would be untrained
        count = len(names) if names and given is None else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # initial weights are the same every time
            return networks.create(name, classes=count, size=preprocessing.size, weights=given)

    return Classifier(
        source=name,
        kind="network",
        name=name,
        shape=(preprocessing.channels, *preprocessing.size),
        prepared=preprocessing,
        names=names,
        names_fit=classes is None and (published is not None or weights is None),
        provenance=Provenance(
            choice=choice | {"size": list(preprocessing.size)},
            trained=weights is not None,
            weights="" if weights is None else str(weights),
            licence=_licence(weights, published),
        ),
        structure=lambda: _outline(lambda: create(None)),
        load=lambda: create(weights),
    )


def _from_module(
    module: "nn.Module",
    kind: Kind,
    source: str,
    weights: str | Path | None,
    classes: Sequence[str] | None,
    size: tuple[int, int] | None,
) -> Classifier:
    shape = usual_shape(module)
    if size is not None:
        shape = (shape[0], *size)

    def load() -> "nn.Module":
        if weights is not None:
            load_weights(module, Path(weights), source)
        return module

    return Classifier(
        source=source,
        kind=kind,
        name=source.rpartition("/")[2],
        shape=shape,
        prepared=None,
        names=None if classes is None else tuple(classes),
        provenance=Provenance(
            choice={"name": source},
            trained=True,  # as far as anybody knows: code may load its weights by itself
            weights="" if weights is None else str(weights),
            licence="for its owner to decide",
        ),
        structure=lambda: module,
        load=load,
    )


def _outline(build: "Callable[[], nn.Module]") -> "nn.Module":
    with networks.outlined():
        return build()


def _without_weights(name: str) -> str:
    known = networks.card(name).weights
    say = f"add --weights {list(known)[-1]}" if known else "add --weights with a file of them"
    return f"{name} is the name of a network, and without weights it has learnt nothing; {say}"


def _class_names(name: str, weights: str | Path | None, classes: Sequence[str] | None) -> tuple[str, ...] | None:
    if classes is not None:
        return tuple(classes)
    if weights is None:
        return tuple(f"class {i}" for i in range(networks.card(name).classes))
    return networks.class_names(name, weights) or None


def nameless(weights: object) -> ConvlensError:
    """What to do about a file of weights whose classes have no names."""
    return ConvlensError(
        f"the weights {str(weights)!r} do not say what their classes are called; "
        "give --classes with a file of names, one a line, in the order of the outputs"
    )


def _licence(weights: str | Path | None, published: PublishedWeights | None) -> str:
    if weights is None:
        return "none needed: initial weights, never trained"
    if published:
        terms = f"under {published.licence}" if published.licence else "under terms that the publishers do not state"
        return f"{published.name}, published {terms}; trained on ImageNet, whose terms allow research and education"
    return f"unknown: read from the file {Path(weights).name}"
