"""Settings on their way to other machines, where this process's folder is not theirs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convlens.cluster.joining import extent
from convlens.data.reaching import is_address

_PLACES = ("data", "runs", "exclude", "weights", "teacher", "recipe")  # settings that may name a file or folder


def with_absolute_paths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings with absolute paths for what is there.

    >>> with_absolute_paths({"data": "digits", "runs": "/tmp/../tmp"})["data"]
    'digits'
    """
    return {name: _absolute(name, value) for name, value in settings.items()}


def local_paths(settings: Mapping[str, Any]) -> dict[str, int]:
    """What settings name on this machine, and every node must see as well: path -> its extent."""
    named = [str(settings[name]) for name in _PLACES if name != "runs" and settings.get(name)]
    return {name: extent(name) or 0 for name in named if Path(name).is_absolute() and Path(name).exists()}


def _absolute(name: str, value: Any) -> Any:
    if name not in _PLACES or value is None or is_address(str(value)):
        return value
    path = Path(str(value)).absolute()
    return str(path) if name == "runs" or path.exists() else value
