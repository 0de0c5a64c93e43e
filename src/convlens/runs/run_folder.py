"""The run folder: made once and never overwritten, opened only when it is whole."""

import csv
import io
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from convlens import files, networks
from convlens.runs.description import Description, RunError
from convlens.untrusted.documents import read_document, to_yaml
from convlens.untrusted.untrusted_bytes import UntrustedFileError

if TYPE_CHECKING:
    import torch

    from convlens.anatomy import Anatomy
    from convlens.images import Preprocessing

Which = Literal["best", "last"]


@dataclass(frozen=True)
class RunFolder:
    """A run: a folder that is complete in itself, so that copying it moves the run.

    `run.yaml` describes it, `weights/` holds the best and the last weights, `checkpoint.pt` all that training needs
    to go on, `metrics.jsonl` and `results.csv` one line an epoch, `anatomy.json` what its graph says.
    """

    path: Path
    description: Description

    @property
    def network_name(self) -> str:
        """The name of the network in the catalogue."""
        return self.description.network.name

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the network's outputs."""
        return self.description.classes

    @property
    def preprocessing(self) -> "Preprocessing":
        """From an image to the network's input."""
        return self.description.preprocessing

    @property
    def channels(self) -> int:
        """How many channels the network's input has."""
        return self.description.network.channels

    @property
    def size(self) -> tuple[int, int]:
        """The height and width of the network's input, in pixels."""
        return self.description.network.size

    @property
    def config(self) -> Mapping[str, Any]:
        """The training configuration as plain values."""
        return self.description.config

    @property
    def fingerprint(self) -> str:
        """What identifies the data that the run was trained on."""
        return self.description.data.fingerprint

    @property
    def checkpoint_path(self) -> Path:
        """Where training keeps all that it needs to go on."""
        return self.path / "checkpoint.pt"

    def weights_path(self, which: Which = "best") -> Path:
        """Where the best or the last weights are."""
        return self.path / "weights" / f"{which}.safetensors"

    def build_network(self) -> "torch.nn.Module":
        """Build the run's network with initial weights; the caller's random numbers are left as they were."""
        import torch

        choice = self.description.network
        with torch.random.fork_rng(devices=[]):
            return networks.create(
                choice.name,
                classes=choice.classes,
                channels=choice.channels,
                size=choice.size,
                dropout=choice.dropout,
            )

    def load_network(self, which: Which = "best") -> "torch.nn.Module":
        """Build the run's network with its trained weights, in evaluation mode.

        Raises:
            RunError: if the weights are missing, truncated, or of another network.
        """
        from convlens.runs.run_weights import load_weights

        network = self.build_network()
        load_weights(network, self.weights_path(which))
        return network.eval()

    def discard(self) -> None:
        """Remove the folder, if it holds no checkpoint yet: a run that failed at its start is of no use."""
        if not self.checkpoint_path.exists():
            shutil.rmtree(self.path, ignore_errors=True)

    def metrics(self) -> list[dict[str, Any]]:
        """Read one row an epoch."""
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]

    def write_description(self, description: Description) -> "RunFolder":
        """Replace `run.yaml`, whole or not at all, and give the folder that goes with it."""
        files.write_text(self.path / "run.yaml", to_yaml(description.to_dict()))
        return replace(self, description=description)

    def write_metrics(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Write the rows of all epochs so far to `metrics.jsonl` and `results.csv`."""
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in history)
        files.write_text(self.path / "metrics.jsonl", lines)
        files.write_text(self.path / "results.csv", _table(history))

    def write_bad_files(self, bad_files: Sequence[tuple[str, str]]) -> None:
        """Write the files that could not be read, each with its reason, to `bad_files.csv`."""
        rows = [{"file": key, "reason": reason} for key, reason in bad_files]
        files.write_text(self.path / "bad_files.csv", _table(rows) or "file,reason\r\n")

    def write_anatomy(self, sheet: "Anatomy") -> None:
        """Write what was read off the network's graph at the run's input size to `anatomy.json`."""
        from convlens.anatomy.tables import as_json

        files.write_text(self.path / "anatomy.json", as_json(sheet) + "\n")


def create_folder(parent: str | Path, name: str, description: Description) -> RunFolder:
    """Make `parent/name`, or `name-2`, `name-3` and so on if that is taken, and write its `run.yaml`."""
    path = _unused(Path(parent), name)
    folder = RunFolder(path, description)
    try:
        return folder.write_description(replace(description, name=path.name))
    except OSError:
        folder.discard()
        raise


def open_folder(path: str | Path, *, weights: bool = True) -> RunFolder:
    """Open a run folder and check that it is whole.

    Args:
        path: the folder.
        weights: whether the weights must be there; a run that was cut before its first checkpoint has none.

    Raises:
        RunError: saying what is missing, cannot be read or does not match.
    """
    folder = read_folder(path)
    if weights:
        from convlens.runs.run_weights import check_weights

        check_weights(folder)
    return folder


def read_folder(path: str | Path) -> RunFolder:
    """Read `run.yaml` alone, without a look at the weights."""
    root = Path(path)
    if not root.is_dir():
        raise RunError(f"no run folder {str(path)!r}; give the folder that convlens train printed")
    file = root / "run.yaml"
    if not file.is_file():
        raise RunError(
            f"{str(path)!r} has no run.yaml, so it is not a run; give the folder that convlens train printed"
        )
    try:
        content = read_document(file)
    except UntrustedFileError as error:
        raise RunError(str(error)) from None
    return RunFolder(root, Description.from_dict(content, str(file)))


def is_run(path: str | Path) -> bool:
    """Whether `path` is a folder that looks like a run."""
    return (Path(path) / "run.yaml").is_file()


def numbered(name: str) -> Iterator[str]:
    """The names that runs of one name get, one after the other.

    >>> names = numbered("photos")
    >>> next(names), next(names)
    ('photos', 'photos-2')
    """
    yield name
    yield from (f"{name}-{number}" for number in count(2))


def _unused(parent: Path, name: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    for each in numbered(name):
        with suppress(FileExistsError):
            (parent / each).mkdir()
            return parent / each
    raise AssertionError("numbers do not end")


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    buffer = io.StringIO()
    if columns:
        writer = csv.DictWriter(buffer, columns)
        writer.writeheader()
        writer.writerows(rows)
    return buffer.getvalue()
