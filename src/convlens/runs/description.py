"""What `run.yaml` says: the network, its classes in order, its preprocessing, its data and where it was made."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from convlens.errors import ConvlensError
from convlens.images import Preprocessing

FORMAT = 1


class RunError(ConvlensError):
    """A run folder that is not whole, or does not fit what is asked of it."""


@dataclass(frozen=True, kw_only=True)
class NetworkChoice:
    """The arguments that `networks.create` builds this run's network from."""

    name: str
    classes: int
    channels: int
    size: tuple[int, int]
    dropout: float | None = None


@dataclass(frozen=True, kw_only=True)
class DataSummary:
    """Which data a run saw: where it came from, its fingerprint and how many images each split holds."""

    source: str
    fingerprint: str
    splits: Mapping[str, int]
    bad_files: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Description:
    """Everything in `run.yaml`.

    `numerics` holds what was chosen for speed and touches results: precision, memory format, threads, device.
    `result` is empty until the first epoch ends. In the file, `digest` is that of network, classes and preprocessing.
    """

    name: str
    created: str
    network: NetworkChoice
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    config: Mapping[str, Any]
    data: DataSummary
    numerics: Mapping[str, Any]
    versions: Mapping[str, str]
    git_commit: str | None = None
    result: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Give the description as plain values, in the order of the file."""
        network = asdict(self.network) | {"size": list(self.network.size)}
        data = asdict(self.data) | {"splits": dict(self.data.splits), "notes": list(self.data.notes)}
        answers = {
            "network": network,
            "classes": list(self.classes),
            "preprocessing": self.preprocessing.to_dict(),
        }
        return {
            "format": FORMAT,
            "name": self.name,
            "created": self.created,
            **answers,
            "digest": _digest(answers),
            "data": data,
            "config": dict(self.config),
            "numerics": dict(self.numerics),
            "versions": dict(self.versions),
            "git_commit": self.git_commit,
            "result": dict(self.result),
        }

    @classmethod
    def from_dict(cls, content: Any, where: str) -> "Description":
        """Read the values of a `run.yaml`.

        Args:
            content: what the file held.
            where: the file's name, for messages.

        Raises:
            RunError: naming the entry that is missing or wrong.
        """
        if not isinstance(content, dict):
            raise RunError(f"{where} is not a run description; copy the run folder again")
        if content.get("format") != FORMAT:
            raise RunError(
                f"{where} has format {content.get('format')!r}, this Convlens reads {FORMAT}; use the other version"
            )
        try:
            network = dict(content["network"])
            data = dict(content["data"])
            description = cls(
                name=str(content["name"]),
                created=str(content["created"]),
                network=NetworkChoice(**network | {"size": _pair(network["size"])}),
                classes=tuple(str(label) for label in content["classes"]),
                preprocessing=Preprocessing.from_dict(content["preprocessing"]),
                config=dict(content["config"]),
                data=DataSummary(**data | {"notes": tuple(data.get("notes", ()))}),
                numerics=dict(content["numerics"]),
                versions=dict(content["versions"]),
                git_commit=content.get("git_commit"),
                result=dict(content.get("result") or {}),
            )
        except KeyError as error:
            raise RunError(f"{where} lacks the entry {error.args[0]!r}; copy the run folder again") from None
        except (TypeError, ValueError, AttributeError, ConvlensError) as error:
            raise RunError(f"{where} cannot be understood ({error}); copy the run folder again") from None
        if len(description.classes) != description.network.classes:
            raise RunError(
                f"{where} names {len(description.classes)} classes for a network with {description.network.classes}; "
                "copy the run folder again"
            )
        if content.get("digest") not in (None, _digest(content)):
            raise RunError(
                f"{where} has another network, other classes or another preprocessing than were written; copy the run "
                "folder again, or remove its line 'digest' if you changed them on purpose"
            )
        return description


def _digest(content: Mapping[str, Any]) -> str:
    """The digest of what decides a run's answers, so that a changed byte in it is noticed as one in the weights is."""
    answers = [content[name] for name in ("network", "classes", "preprocessing")]
    return hashlib.sha256(json.dumps(answers, sort_keys=True, default=str).encode()).hexdigest()


def _pair(value: Any) -> tuple[int, int]:
    height, width = value
    return int(height), int(width)
