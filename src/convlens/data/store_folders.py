"""Where stores lie, how much they may take, and which are removed when that is exceeded."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convlens.data.store import Store, settings_key
from convlens.files import cache_folder

SHARE_OF_FREE_SPACE = 0.2
LARGEST_BUDGET = 50_000_000_000


def budget() -> int:
    """Bytes that all stores together may take: a fifth of what is free or taken by them, at most 50 GB."""
    root = _root()
    root.mkdir(parents=True, exist_ok=True)
    return min(LARGEST_BUDGET, int(SHARE_OF_FREE_SPACE * (shutil.disk_usage(root).free + _bytes_in(root))))


class LockedStore(Store):
    """A store that nobody removes while it is open."""

    def __init__(self, settings: Mapping[str, Any], *, max_bytes: int | None = None) -> None:
        folder = _root() / settings_key(settings)
        folder.mkdir(parents=True, exist_ok=True)
        held = _lock(folder, shared=True)
        os.utime(folder)  # the least recently used goes first
        allowed = budget() if max_bytes is None else max_bytes
        _make_room(keep=folder, allowed=allowed)
        others = _bytes_in(_root()) - _bytes_in(folder)
        super().__init__(folder, max_bytes=max(0, allowed - others))
        if held is not None:
            self._open.append(held)


def _root() -> Path:
    return cache_folder() / "images"


def _make_room(keep: Path, allowed: int) -> None:
    """Remove the stores that were not used for longest, until the rest fits; those in use stay."""
    others = sorted((f for f in _root().iterdir() if f.is_dir() and f != keep), key=lambda f: f.stat().st_mtime)
    taken = _bytes_in(_root())
    for folder in others:
        if taken <= allowed:
            return
        held = _lock(folder, shared=False)
        if held is None:
            continue
        taken -= _bytes_in(folder)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _lock(folder: Path, *, shared: bool) -> int | None:
    """Hold the folder until the returned descriptor is closed or the process dies; None where that is impossible."""
    try:
        import fcntl
    except ImportError:  # not on Windows, where stores are therefore never removed
        return None
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _bytes_in(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*.pixels"):
        try:
            total += file.stat().st_size
        except OSError:  # removed meanwhile
            continue
    return total
