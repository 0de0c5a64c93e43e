"""What a study found: every candidate with its accuracy and costs, what is inside the noise, and which one to take."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from convlens.choosing.limits import Costs
from convlens.choosing.significance import Comparison
from convlens.choosing.study import StudyError
from convlens.errors import UnknownNameError, unknown_name

FILE = "frontier.json"
_FORMAT = 1
Status = Literal["finished", "left behind", "waiting", "not needed", "not tried", "failed", "dropped"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One candidate.

    Attributes:
        name: of the candidate.
        network, size, weights: what it is; (height, width) in pixels.
        status: `finished`: trained to its end; `left behind` at a rung by others; `waiting` for time that the budget
            had not; `not needed`, for it could not have changed the recommendation; `not tried`; `failed` in
            training; `dropped` before it, by a limit.
        reason: why it failed or was dropped, or which limit it turned out to break when it was measured.
        costs: counted; of those that finished, memory, file and latency as measured on this machine.
        runtime, precision: of the latency, where it was measured.
        epochs: that it was trained for.
        val_top1: the best accuracy on the validation images so far.
        top1, low, high: accuracy on the held-out images with its 95 % interval (Wilson), of those that finished.
        seeds: accuracies of all its trainings.
        on_frontier: whether no other finished candidate is at least as accurate and as cheap in every respect.
        run: its run folder, relative to the study's.
    """

    name: str
    network: str
    size: tuple[int, int]
    weights: str | None
    status: Status
    reason: str = ""
    costs: Costs | None = None
    runtime: str | None = None
    precision: str | None = None
    epochs: int = 0
    val_top1: float | None = None
    top1: float | None = None
    low: float | None = None
    high: float | None = None
    seeds: tuple[float, ...] = ()
    on_frontier: bool = False
    run: str | None = None


@dataclass(frozen=True, kw_only=True)
class Frontier:
    """A study's result. Written to `frontier.json` in its folder.

    Attributes:
        study: the folder.
        data: as the user named the images.
        split: the held-out images that accuracies are of: `test` or, where there are none, `val`.
        images: how many these are.
        limits: name -> value, in parameters, MACs, bytes and milliseconds.
        entries: every candidate, the most accurate first.
        comparisons: of the most accurate one with every other that finished.
        recommended: the name of the network to take; None if none that finished is within the limits.
        because: why that one, as a sentence.
        stopped_because: why the study ended, as a sentence.
        seconds: that the trainings took.
        processor: that latencies were measured on.
        threads: that one call could use.
        notes: what the reader should know.
    """

    study: Path
    data: str
    split: str
    images: int
    limits: Mapping[str, float]
    entries: tuple[Entry, ...]
    comparisons: tuple[Comparison, ...]
    recommended: str | None
    because: str
    stopped_because: str
    seconds: float
    processor: str
    threads: int
    notes: tuple[str, ...] = ()

    @property
    def finished(self) -> tuple[Entry, ...]:
        """The candidates that were trained to their end."""
        return tuple(entry for entry in self.entries if entry.status == "finished")

    @property
    def pareto(self) -> tuple[Entry, ...]:
        """The Pareto set, the smallest first."""
        found = [entry for entry in self.entries if entry.on_frontier]
        return tuple(sorted(found, key=lambda entry: (entry.costs.parameters if entry.costs else 0, entry.name)))

    def __getitem__(self, name: str) -> Entry:
        """One candidate by its name.

        Raises:
            UnknownNameError: there is none of this name.
        """
        found = next((entry for entry in self.entries if entry.name == name), None)
        if found is None:
            raise self._unknown(name)
        return found

    def _unknown(self, name: str) -> UnknownNameError:
        return unknown_name("candidate", name, [entry.name for entry in self.entries])

    @property
    def winner(self) -> Path | None:
        """The run folder of the recommended network."""
        run = self[self.recommended].run if self.recommended else None
        return self.study / run if run else None

    def to_dict(self) -> dict[str, Any]:
        """Give it as `frontier --json` prints it."""
        values = asdict(self) | {"format": _FORMAT, "study": str(self.study), "limits": dict(self.limits)}
        values["comparisons"] = [asdict(each) | {"distinguished": each.distinguished} for each in self.comparisons]
        return values

    def __repr__(self) -> str:
        return f"Frontier({str(self.study)!r}: {len(self.finished)} finished, take {self.recommended})"


def read_frontier(path: str | Path) -> Frontier:
    """Read a study folder's result, or its `frontier.json`.

    Raises:
        StudyError: there is none, or it cannot be read.
    """
    file = Path(path) / FILE if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise StudyError(f"{str(path)!r} has no {FILE} yet; finish the study with convlens frontier")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content.pop("format") != _FORMAT:
            raise StudyError(f"{file} is of another version of Convlens; run convlens frontier again")
        for each in content["comparisons"]:
            each.pop("distinguished")
        content |= {
            "study": file.parent,  # where it lies now: a study may be copied
            "entries": tuple(_entry(values) for values in content["entries"]),
            "comparisons": tuple(Comparison(**values) for values in content["comparisons"]),
            "notes": tuple(content["notes"]),
        }
        return Frontier(**content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudyError(f"{file} cannot be understood ({error}); run convlens frontier again") from None


def in_order(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The most accurate first, then those that were left behind, by how far they came, then those never trained."""
    return tuple(
        sorted(
            entries,
            key=lambda entry: (
                -(entry.top1 if entry.top1 is not None else -1),
                -entry.epochs,
                -(entry.val_top1 or 0),
                entry.status == "dropped",
                entry.name,
            ),
        )
    )


def _entry(values: dict[str, Any]) -> Entry:
    costs = None if values["costs"] is None else Costs(**values["costs"])
    return Entry(**values | {"size": tuple(values["size"]), "seeds": tuple(values["seeds"]), "costs": costs})
