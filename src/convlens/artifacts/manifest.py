"""What an artifact says about itself: classes, preprocessing, network, run, licence of weights, precision, proof."""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from convlens.errors import ConvlensError
from convlens.images import Preprocessing
from convlens.predicting.engines import Precision
from convlens.untrusted.sealing import BLANK, NAME

FORMAT = 2
PREFIX = "convlens."
FORMAT_ENTRY = f"{PREFIX}format"  # that every artifact has, of whatever version
_LARGEST_SIDE = 16_384
_MOST_CLASSES = 1_000_000


class ArtifactError(ConvlensError):
    """A file that is not an artifact, is not whole, or was written by a newer version."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything that travels inside an artifact besides its arithmetic.

    Args:
        network: the arguments that `networks.create` builds the network from.
        classes: the class names, in the order of the outputs.
        preprocessing: from an image to the network's input.
        preprocessing_inside: whether the file itself begins at the decoded image; if not, a client must apply
            `preprocessing` before it.
        precision: of the arithmetic.
        card: paper, year, parameters, multiply-adds … of the network.
        run: name and fingerprints of the run that it came from; empty for a network from the catalogue.
        weights_licence: under which terms the weights may be used.
        versions: of the packages that wrote it.
        proof: what was compared before it was written, and how far apart the answers were.
        choice: how its precision was chosen: what was measured, what was rejected and why; empty if it was given.
    """

    network: Mapping[str, Any]
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    preprocessing_inside: bool
    precision: Precision
    card: Mapping[str, Any]
    run: Mapping[str, Any]
    weights_licence: str
    versions: Mapping[str, str]
    proof: Mapping[str, Any] = field(default_factory=dict)
    choice: Mapping[str, Any] = field(default_factory=dict)

    def to_strings(self) -> dict[str, str]:
        """Give one JSON text a field: every format can keep a mapping of texts, and any client can read it."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        values["preprocessing"] = self.preprocessing.to_dict()
        texts = {PREFIX + name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}
        return {FORMAT_ENTRY: str(FORMAT)} | texts | {f"{PREFIX}{NAME}": BLANK}

    @classmethod
    def from_strings(cls, strings: Mapping[str, str], where: str) -> "Manifest":
        """Read what `to_strings` gave.

        Args:
            strings: the mapping that the file keeps; entries of others are ignored.
            where: the file's name, for messages.

        Raises:
            ArtifactError: the file was not exported by Convlens, is damaged, or was written by a newer version.
        """
        found = strings.get(FORMAT_ENTRY)
        if found is None:
            raise ArtifactError(
                f"{where} says neither its classes nor its preprocessing, so it is not an artifact of convlens; "
                "make one with convlens export"
            )
        if not (found.isascii() and found.isdecimal() and len(found) < 10 and int(found) <= FORMAT):
            raise ArtifactError(
                f"{where} was written by a newer Convlens (artifact format {found[:40]!r}, this one reads up to "
                f"{FORMAT}); upgrade convlens, or export again with this version"
            )
        try:
            known = [
                entry for entry in fields(cls) if entry.default_factory is MISSING or PREFIX + entry.name in strings
            ]
            values = {entry.name: json.loads(strings[PREFIX + entry.name]) for entry in known}
        except KeyError as error:
            raise ArtifactError(f"{where} lacks the entry {error.args[0]!r}; export it again") from None
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"{where} cannot be understood ({error}); export it again") from None
        wrong = [name for name, value in values.items() if not _KINDS[name](value)]
        if wrong:
            shown = str(values[wrong[0]])[:60]
            raise ArtifactError(f"{where} has an entry {wrong[0]!r} that cannot be: {shown}; export it again")
        if len(values["classes"]) != values["network"]["classes"]:
            raise ArtifactError(f"{where} does not name one class for each output of its network; export it again")
        try:
            values["preprocessing"] = Preprocessing.from_dict(values["preprocessing"])
        except ConvlensError as error:
            raise ArtifactError(f"{where}: {error}") from None
        values["classes"] = tuple(values["classes"])
        return cls(**values)


def _is_network(value: Any) -> bool:
    """Whether it is what `networks.create` takes."""
    if not isinstance(value, dict) or set(value) != {"name", "classes", "channels", "size", "dropout"}:
        return False
    sizes = value["size"]
    whole = isinstance(sizes, list) and len(sizes) == 2 and all(_is_count(side, _LARGEST_SIDE) for side in sizes)
    return (
        isinstance(value["name"], str)
        and _is_count(value["classes"], _MOST_CLASSES)
        and value["channels"] in (1, 3)
        and isinstance(value["dropout"], int | float | None)
        and whole
    )


def _is_count(value: Any, most: int) -> bool:
    return type(value) is int and 1 <= value <= most


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "network": _is_network,
    "classes": lambda value: isinstance(value, list) and all(isinstance(label, str) for label in value),
    "preprocessing": _is_object,
    "preprocessing_inside": lambda value: isinstance(value, bool),
    "precision": lambda value: value in ("float32", "bfloat16", "int8"),
    "card": _is_object,
    "run": _is_object,
    "weights_licence": lambda value: isinstance(value, str),
    "versions": _is_object,
    "proof": _is_object,
    "choice": _is_object,
}
