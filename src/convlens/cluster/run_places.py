"""Where a run of a cluster lives: in a folder that all nodes share, or behind an address such as `s3://`."""

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convlens import files, runs
from convlens.data.dataset import DataError
from convlens.data.reaching import contents, explaining, file_system, is_address
from convlens.training import remote_runs
from convlens.training.config import TrainConfig


@dataclass(frozen=True)
class Place:
    """A run's folder.

    Attributes:
        parent: the folder above it, an absolute path or an address.
        name: of the run.
    """

    parent: str
    name: str

    def __str__(self) -> str:
        return f"{self.parent}/{self.name}"

    @property
    def address(self) -> str | None:
        """The run's address, if it is behind one."""
        return str(self) if is_address(self.parent) else None

    def is_run(self) -> bool:
        """Whether the run has begun."""
        return remote_runs.is_run(str(self)) if self.address else runs.is_run(str(self))

    def check(self) -> None:
        """Raise ConvlensError if no run is there."""
        if self.address:
            remote_runs.fetched(str(self), keep=False, only="run.yaml")
        else:
            runs.open_folder(str(self), weights=False)

    def opened(self) -> runs.RunFolder:
        """The run, on this machine.

        Raises:
            ConvlensError: it is not there, or not whole.
        """
        return runs.open_folder(remote_runs.fetched(str(self)) if self.address else str(self), weights=False)

    def metrics(self) -> list[dict[str, Any]]:
        """One row an epoch; none where they cannot be read just now."""
        path = f"{self}/metrics.jsonl"
        try:
            text = contents(path).decode() if self.address else Path(path).read_text(encoding="utf-8")
            return [json.loads(line) for line in text.splitlines() if line]
        except (OSError, ValueError, DataError):
            return []

    def clear(self) -> None:
        """Remove what is there of a run that was cut before it had begun."""
        if not self.address:
            shutil.rmtree(str(self), ignore_errors=True)

    @contextmanager
    def probe(self) -> Iterator[dict[str, int]]:
        """A file beside the run that other machines see where they share its place: path -> bytes."""
        path = f"{self.parent}/.seen-{uuid.uuid4().hex}"
        if not self.address:
            files.write_text(path, "seen\n")
            try:
                yield {path: Path(path).stat().st_size}
            finally:
                Path(path).unlink(missing_ok=True)
            return
        with explaining(self.parent):
            system, name = file_system(path)
            system.pipe_file(name, b"seen\n")
        try:
            yield {path: 5}
        finally:
            with suppress(OSError):
                system.rm_file(name)

    def storage(self) -> tuple[str, Any]:
        """A folder beside the run for the notes of Ray Train, and its file system for Arrow, None for this machine."""
        path = f"{self.parent}/.ray"
        if not self.address:
            return path, None
        from pyarrow.fs import FSSpecHandler, PyFileSystem

        system, name = file_system(path)
        return name, PyFileSystem(FSSpecHandler(system))

    def leave(self, word: str) -> None:
        """Leave a word for processes that are started later."""
        path = self._word()
        if self.address:
            system, name = file_system(path)
            system.pipe_file(name, word.encode())
        else:
            files.write_text(path, word)

    def left(self) -> str | None:
        """The word that was left, if there is one."""
        try:
            return contents(self._word()).decode() if self.address else Path(self._word()).read_text(encoding="utf-8")
        except (OSError, DataError):
            return None

    def _word(self) -> str:
        return f"{self.parent}/.ray/{self.name}.stopped"

    def clear_storage(self) -> None:
        """Remove the notes of Ray Train."""
        path = f"{self.parent}/.ray"
        if not self.address:
            shutil.rmtree(path, ignore_errors=True)
            return
        with suppress(OSError):
            system, name = file_system(path)
            system.rm(name, recursive=True)


def place_of(run: str) -> Place:
    """The place of a run that is there."""
    parent, _, name = (run.rstrip("/") if is_address(run) else str(Path(run).absolute())).rpartition("/")
    return Place(parent, name)


def new_place(config: TrainConfig) -> Place:
    """A place for a new run, beside those that are there."""
    name = config.name or Path(config.data.rstrip("/")).name.partition(".")[0] or "run"
    if is_address(config.runs):
        address = config.runs.rstrip("/")
        return Place(address, remote_runs.unused_name(address, name))
    parent = Path(config.runs).absolute()
    return Place(str(parent), next(each for each in runs.numbered(name) if not (parent / each).exists()))
