"""The errors that a user can mend, and the search for the name that was meant."""

from collections.abc import Iterable
from difflib import get_close_matches

_MOST_LISTED = 60


class ConvlensError(Exception):
    """Something that the user can mend.

    The message is one line: what was wrong, its value, what to do. The command line prints it and exits with
    `exit_code`: 2 for what the user got wrong.
    """

    exit_code = 2


class UnknownNameError(ConvlensError):
    """A name that is not in a table; the message offers the nearest ones."""


def unknown_name(kind: str, name: object, valid: Iterable[str]) -> UnknownNameError:
    """Build the error for a misspelt name, with the nearest valid names.

    Args:
        kind: what the name should have named, such as `"network"`.
        name: what was given.
        valid: every name that would have been right.

    Returns:
        The error, to be raised by the caller.

    >>> str(unknown_name("network", "resnet19", ["resnet18", "lenet5"]))
    "unknown network 'resnet19'; did you mean resnet18?"
    """
    known = list(valid)
    near = get_close_matches(str(name).lower(), known, n=3, cutoff=0.6)
    if near:
        return UnknownNameError(f"unknown {kind} {name!r}; did you mean {' or '.join(near)}?")
    if len(known) > _MOST_LISTED:  # nobody reads them all: the least unlike ones
        near = get_close_matches(str(name).lower(), known, n=5, cutoff=0.0)
        return UnknownNameError(f"unknown {kind} {name!r}; of {len(known)}, the nearest are {', '.join(near)}")
    return UnknownNameError(f"unknown {kind} {name!r}; valid: {', '.join(known)}")


def legible(name: str) -> str:
    """A name as it can be printed and drawn: what ends a line, hides or is no character is escaped.

    >>> legible("a\\nb"), legible("кот 1.png")
    ('a\\\\nb', 'кот 1.png')
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in name)
