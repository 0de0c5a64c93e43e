"""Files that are whole or not there: written to a temporary name beside the target, then renamed."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import platformdirs

_LONGEST_STEM = 200  # bytes; names may have 255


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path to write; rename it to `path` if the block succeeds, remove it if not.

    The rename is atomic, so that a reader, or a process killed at any moment, sees the old file or the new one.

    Raises:
        OSError: as the block or the file system raises it, such as no space left on the device.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Names may have 255 bytes, and this one must have room for more.
    handle, name = tempfile.mkstemp(prefix=f".{target.name[:40]}.", suffix=".part", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _flush_to_disk(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def cache_folder() -> Path:
    """The folder for what can be computed again: the environment's CONVLENS_CACHE, else the platform's."""
    chosen = os.environ.get("CONVLENS_CACHE")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("convlens", appauthor=False)


def short_stem(path: str | Path) -> str:
    """A file's name without its suffix, short enough that 55 bytes can be added: the end of a longer one is a digest.

    >>> short_stem("a/cat.jpg"), len(short_stem("x" * 250 + ".jpg"))
    ('cat', 200)
    """
    stem = Path(path).stem
    encoded = os.fsencode(stem)
    if len(encoded) <= _LONGEST_STEM:
        return stem
    while len(os.fsencode(stem)) > _LONGEST_STEM - 9:
        stem = stem[:-1]
    return f"{stem}-{hashlib.sha256(encoded).hexdigest()[:8]}"


def remember(path: str | Path, key: str, content: Any) -> None:
    """Add `key` to the JSON object in `path`, a file of what can be found out again."""
    remember_all(path, {key: content})


def remember_all(path: str | Path, contents: Mapping[str, Any]) -> None:
    """Add several keys to the JSON object in `path`.

    A cache that cannot be written is no reason to stop; the next run finds it out anew.
    """
    with suppress(OSError):
        write_json(path, remembered(path) | dict(contents))


def remembered(path: str | Path) -> dict[str, Any]:
    """What `remember` wrote; a file that cannot be read or understood is as good as none."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, content: str) -> None:
    """Write `content` to `path` as UTF-8, whole or not at all; what UTF-8 cannot hold is escaped."""
    write_bytes(path, content.encode("utf-8", "backslashreplace"))


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` to `path` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
