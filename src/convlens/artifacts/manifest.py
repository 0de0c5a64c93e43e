"""What an artifact says about itself: classes, preprocessing, network, run, licence of weights, precision, proof."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from convlens.errors import ConvlensError
from convlens.images import Preprocessing
from convlens.predicting.engines import Precision

FORMAT = 1
PREFIX = "convlens."


class ArtifactError(ConvlensError):
    """A file that is no artifact, is not whole, or was written by a newer version."""


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
        return {f"{PREFIX}format": str(FORMAT)} | texts

    @classmethod
    def from_strings(cls, strings: Mapping[str, str], where: str) -> "Manifest":
        """Read what `to_strings` gave.

        Args:
            strings: the mapping that the file keeps; entries of others are ignored.
            where: the file's name, for messages.

        Raises:
            ArtifactError: the file was not exported by Convlens, is damaged, or was written by a newer version.
        """
        found = strings.get(f"{PREFIX}format")
        if found is None:
            raise ArtifactError(
                f"{where} says neither its classes nor its preprocessing, so it is no artifact of convlens; "
                "make one with convlens export"
            )
        if not found.isdigit() or int(found) > FORMAT:
            raise ArtifactError(
                f"{where} was written by a newer Convlens (artifact format {found}, this one reads up to {FORMAT}); "
                "upgrade convlens, or export again with this version"
            )
        try:
            known = [
                entry for entry in fields(cls) if entry.default_factory is MISSING or PREFIX + entry.name in strings
            ]
            values = {entry.name: json.loads(strings[PREFIX + entry.name]) for entry in known}
        except KeyError as error:
            raise ArtifactError(f"{where} lacks the entry {error.args[0]!r}; export it again") from None
        except ValueError as error:
            raise ArtifactError(f"{where} cannot be understood ({error}); export it again") from None
        classes = values["classes"]
        if not isinstance(classes, list) or len(classes) != values["network"].get("classes", len(classes)):
            raise ArtifactError(f"{where} does not name one class for each output of its network; export it again")
        values["classes"] = tuple(classes)
        values["preprocessing"] = Preprocessing.from_dict(values["preprocessing"])
        return cls(**values)
