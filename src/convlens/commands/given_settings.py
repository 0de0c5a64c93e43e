"""The settings of a training as they were given: flags over the file of settings; and as a user would type them."""

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from convlens.training.settings import read_settings


def given_settings(data: str | None, config: Path | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the user gave: flags over the file of settings."""
    settings = (read_settings(config) if config else {}) | {k: v for k, v in given.items() if v is not None}
    return settings if data is None else settings | {"data": data}


def as_flags(given: Mapping[str, Any]) -> str:
    """Settings as a user would type them.

    >>> as_flags({"size": (32, 48), "mirrors": False, "weights": "my weights.pth", "lr": None})
    "--size 32,48 --no-mirrors --weights 'my weights.pth'"
    """
    words = []
    for name, value in given.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            text = ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
            words.append(f"--{flag} {quote(text)}")
    return " ".join(words)
