"""The options of commands that train: each is a field of `TrainConfig`, with its name, type, help and default."""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from convlens.training.config import TrainConfig, default_of, field_types

# name, type, default, help; what a command takes besides
Own = tuple[str, Any, Any, str]


def takes_settings(command: Callable[..., int], own: Collection[Own], *, without: Collection[str] = ()) -> None:
    """Give a command the parameters that it has: DATA, its own, and one a field of the configuration.

    Args:
        command: is called with `data`, its own parameters, and those fields that were given, by keyword.
        own: the command's own parameters.
        without: fields that mean nothing to the command.
    """
    types = field_types()
    about_data = str(TrainConfig.__dataclass_fields__["data"].metadata["help"])
    data = inspect.Parameter(
        "data",
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=None,
        annotation=Annotated[str | None, Parameter(help=about_data)],
    )
    settings = [
        (entry.name, types[entry.name] | None, None, _help(entry))
        for entry in fields(TrainConfig)
        if entry.name != "data" and entry.name not in without
    ]
    keyword = inspect.Parameter.KEYWORD_ONLY
    options = [
        inspect.Parameter(name, keyword, default=default, annotation=_option(name, kind, text))
        for name, kind, default, text in [*own, *settings]
    ]
    signature = inspect.Signature([data, *options], return_annotation=int)
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {name: p.annotation for name, p in signature.parameters.items()} | {"return": int}


def given_settings(data: str | None, config: Path | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the user gave: flags over the file of settings."""
    from convlens.training.settings import read_settings

    settings = (read_settings(config) if config else {}) | {k: v for k, v in given.items() if v is not None}
    return settings if data is None else settings | {"data": data}


def as_flags(given: Mapping[str, Any]) -> str:
    """Settings as a user would type them.

    >>> as_flags({"size": (32, 48), "mirrors": False, "weights": "my weights.pth", "lr": None})
    "--size 32,48 --no-mirrors --weights 'my weights.pth'"
    """
    from shlex import quote

    words = []
    for name, value in given.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            text = ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
            words.append(f"--{flag} {quote(text)}")
    return " ".join(words)


def _option(name: str, kind: Any, text: str) -> Any:
    if name == "size":
        kind = str | None
    if name in ("quiet", "json_"):
        return Annotated[kind, Parameter(name=f"--{name.strip('_')}", help=text, negative=())]
    return Annotated[kind, Parameter(help=text, negative_iterable=())]


def _help(entry: Any) -> str:
    default = default_of(entry)
    return str(entry.metadata["help"]) + (f" [default: {default}]" if default is not None else "")
