"""What is wrong with the words of a command line, in one line: what, its value, what to do."""

from difflib import get_close_matches
from types import UnionType
from typing import Any, Union, get_args, get_origin

from cyclopts import CycloptsError
from cyclopts.exceptions import (
    CoercionError,
    ConsumeMultipleError,
    MissingArgumentError,
    UnknownOptionError,
    UnusedCliTokensError,
)

# what people type elsewhere -> what it may be called here, the likeliest first
_MEANT = {
    "--figure": ("--map", "--html", "--png", "--animate", "--sheet", "--report"),
    "--plot": ("--figure", "--map", "--html", "--report"),
    "--output": ("--out", "--write-list", "--html", "--csv"),
    "-o": ("--out", "--write-list", "--html", "--csv"),
    "--save": ("--out", "--map", "--html"),
    "--format": ("--to", "--json", "--csv"),
    "--batch-size": ("--batch",),
    "--gpu": ("--device",),
    "--cpu": ("--device",),
    "--model": ("--network", "--weights"),
    "--learning-rate": ("--lr",),
    "--pretrained": ("--weights",),
    "--image-size": ("--size",),
    "--img-size": ("--size",),
}
_WORDS = {int: "a whole number", float: "a number", bool: "true or false"}


def explain_usage(error: CycloptsError) -> str:
    """Say what a command was given that it does not take, and where to look; cyclopts' own words where they do."""
    command = " ".join(["convlens", *(error.command_chain or ())])
    look = f"see {command} --help"
    if isinstance(error, UnknownOptionError):
        given = error.token.keyword or error.token.value
        options = [name for argument in error.argument_collection for name in argument.names if name.startswith("--")]
        near = [name for name in _MEANT.get(given, ()) if name in options][:2]
        near = near or get_close_matches(given, options, n=2, cutoff=0.6)
        meant = f"did you mean {' or '.join(near)}? S" if near else "s"
        return f"unknown option {given!r}; {meant}{look[1:]}"
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return f"no use for {' '.join(map(repr, error.unused_tokens))}; {look}"
    if isinstance(error, MissingArgumentError) and not isinstance(error, ConsumeMultipleError):
        argument = error.argument
        if argument is not None and error.keyword is None and argument.field_info.is_positional:
            return f"no {argument.name.lstrip('-').upper()} given; {look}"
        if argument is not None:
            return f"{error.keyword or argument.name} needs a value; {look}"
    if isinstance(error, CoercionError) and error.token is not None and (kinds := _kinds(error.target_type)):
        name = error.token.keyword or (error.argument.name.lstrip("-").upper() if error.argument else "a value")
        return f"{name} is {error.token.value!r}; use {kinds}"
    return " ".join(str(error).split())


def kinds_of(kind: Any) -> set[Any]:
    """The types that a declared type is made of: `int` and `None` of `tuple[int, ...] | None`."""
    parts = get_args(kind)
    return set().union(*map(kinds_of, parts)) if parts else {kind}


def _kinds(kind: Any) -> str:
    """The type in words; nothing for one that has none here."""
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(dict.fromkeys(filter(None, map(_kinds, reversed(get_args(kind))))))
    return _WORDS.get(kind, "")
