"""A run behind an address such as `s3://`: trained on this machine, and copied there at every checkpoint."""

import atexit
import shutil
import tempfile
from pathlib import Path

from convlens import files
from convlens.data.dataset import DataError
from convlens.data.reaching import explaining, file_system
from convlens.runs import numbered
from convlens.training.progress import Silence
from convlens.training.state import State

_LAST = "checkpoint.pt"  # copied when all else is there


class Mirror(Silence):
    """Copies a run folder to its address whenever a checkpoint is written.

    Args:
        folder: the run on this machine.
        address: of the run.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.address = folder, address
        self._sent: dict[Path, tuple[int, int]] = {}  # time of change and bytes

    def saved(self, state: State) -> None:  # noqa: ARG002 - it is in the file
        """Copy what has changed."""
        self.send()

    def send(self) -> None:
        """Copy what has changed.

        Raises:
            DataError: it cannot be written there; what is on this machine stays.
        """
        try:
            self._send()
        except DataError as error:
            raise DataError(f"{error}; the run so far is in {self.folder}") from None

    def _send(self) -> None:
        with explaining(self.address):
            system, root = file_system(self.address)
            for path in sorted(self.folder.rglob("*"), key=lambda path: path.name == _LAST):
                relative = path.relative_to(self.folder)
                if path.is_dir() or any(part.startswith(".") for part in relative.parts):
                    continue
                now = path.stat().st_mtime_ns, path.stat().st_size
                if self._sent.get(path) != now:
                    system.put_file(str(path), f"{root}/{relative.as_posix()}")
                    self._sent[path] = now


def unused_name(parent: str, name: str) -> str:
    """The first of the numbered names of which there is no run below an address yet."""
    return next(each for each in numbered(name) if not is_run(f"{parent}/{each}"))


def is_run(address: str) -> bool:
    """Whether a run is behind an address.

    Raises:
        DataError: nobody answers there.
    """
    with explaining(address):
        system, root = file_system(address)
        system.invalidate_cache()  # others write there
        return bool(system.exists(f"{root}/run.yaml"))


def fetched(address: str, *, keep: bool = True, only: str | None = None) -> Path:
    """Copy a run from its address to a folder of this machine.

    Args:
        address: of the run.
        keep: whether the folder stays when the process ends.
        only: the name of the one file that is needed; None for all.

    Raises:
        DataError: there is none, or it cannot be reached.
    """
    address = address.rstrip("/")
    if not is_run(address):
        raise DataError(f"there is no run at {address}; give the address that convlens train printed")
    folder = new_folder(keep=keep) / Path(address).name
    with explaining(address):
        system, root = file_system(address)
        for name in system.find(root) if only is None else [f"{root}/{only}"]:
            there = folder / str(name).removeprefix(str(root)).lstrip("/")
            there.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(name, str(there))
    return folder


def new_folder(*, keep: bool = True) -> Path:
    """A new folder of this machine for a run that is kept elsewhere."""
    parent = files.cache_folder() / "runs"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent))
    if not keep:
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
