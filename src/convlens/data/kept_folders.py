"""Folders of the cache that several processes use: held while in use, bounded together, the longest unused go first."""

import fnmatch
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from convlens.errors import ConvlensError

SHARE_OF_FREE_SPACE = 0.2
LARGEST_BUDGET = 50_000_000_000
SETTING = "CONVLENS_CACHE_GB"
_ATTEMPTS = 1000  # to make a folder that others keep removing


def budget(root: Path, pattern: str) -> int:
    """Bytes that the files below `root` which match may take: what CONVLENS_CACHE_GB says, else a fifth of what is free
    or taken by them, at most 50 GB.

    Raises:
        ConvlensError: the setting is not a number of gigabytes.
    """
    given = os.environ.get(SETTING, "")
    if given:
        try:
            return int(max(0.0, float(given)) * 1e9)
        except (ValueError, OverflowError):
            raise ConvlensError(f"{SETTING} is {given!r}; give a number of gigabytes, such as 20") from None
    root.mkdir(parents=True, exist_ok=True)
    return min(LARGEST_BUDGET, int(SHARE_OF_FREE_SPACE * (shutil.disk_usage(root).free + bytes_in(root, pattern))))


def hold(folder: Path) -> int | None:
    """Make the folder and keep it from being removed, until the descriptor is closed or the process dies.

    None where files cannot be locked; there, folders are never removed.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            os.utime(folder)  # the least recently used goes first
            held = _lock(folder, shared=True)
            if held is None or os.path.samestat(os.fstat(held), (folder / "lock").stat()):
                return held
            os.close(held)
        except (FileNotFoundError, FileExistsError):  # somebody removed it just then, or it cannot be made at all
            if attempt == _ATTEMPTS:
                raise
    return None


def make_room(root: Path, *, keep: Path, allowed: int, pattern: str) -> None:
    """Remove the folders that were not used for longest, until what matches fits; those in use stay."""
    if not root.exists() or (taken := bytes_in(root, pattern)) <= allowed:
        return
    for folder in sorted((f for f in root.iterdir() if f.is_dir() and f != keep), key=_last_used):
        if taken <= allowed:
            return
        size = bytes_in(folder, pattern)
        if _remove(folder):
            taken -= size


def bytes_in(folder: Path, pattern: str) -> int:
    """The size of all files below a folder whose names match; what is removed meanwhile does not count."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in fnmatch.filter(names, pattern):
            with suppress(OSError):
                total += Path(parent, name).stat().st_size
    return total


def _remove(folder: Path) -> bool:
    """Remove a folder that nobody holds; out of the way first, so that whoever wants it meanwhile makes a new one."""
    try:
        held = _lock(folder, shared=False)
        if held is None:
            return False
        try:
            gone = folder.with_name(f".{secrets.token_hex(8)}")
            folder.rename(gone)
        finally:
            os.close(held)
    except OSError:
        return False
    shutil.rmtree(gone, ignore_errors=True)
    return True


def _lock(folder: Path, *, shared: bool) -> int | None:
    try:
        import fcntl
    except ImportError:  # on Windows
        return None
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        # Who uses a folder waits for the moment in which another moves it away; who would remove one does not wait.
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _last_used(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0
