"""The options of commands that train: each is a field of `TrainConfig`, with its name, type, help and default."""

import inspect
from collections.abc import Callable, Collection
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from convlens.training.config import TrainConfig, default_of, field_types

# name, type, default, help; what a command takes besides
Own = tuple[str, Any, Any, str]

CONFIG: Own = ("config", Path | None, None, "YAML file of settings, named as the options are.")
RAY: Own = (
    "ray",
    str | None,
    None,
    "Train on a Ray cluster: host:port of its head node. Without a value: this machine's.",
)
QUIET: Own = ("quiet", bool, False, "Print nothing but errors.")
JSON: Own = ("json_", bool, False, "Print the result as JSON; progress goes to standard error.")


def takes_settings(command: Callable[..., None], own: Collection[Own], *, without: Collection[str] = ()) -> None:
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
    signature = inspect.Signature([data, *options], return_annotation=None)
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {name: p.annotation for name, p in signature.parameters.items()} | {"return": None}


def _option(name: str, kind: Any, text: str) -> Any:
    if name == "size":
        kind = str | None
    if name in ("quiet", "json_"):
        return Annotated[kind, Parameter(name=f"--{name.strip('_')}", help=text, negative=())]
    return Annotated[kind, Parameter(help=text, negative_iterable=())]


def _help(entry: Any) -> str:
    default = default_of(entry)
    return str(entry.metadata["help"]) + (f" [default: {default}]" if default is not None else "")
