"""The names of classes: from a file, and as a value that an image came with states one."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unicodedata import category

from convlens.errors import ConvlensError, legible

_UNWRITABLE = ("Cc", "Cs", "Zl", "Zp")  # Unicode's categories of control characters, lone surrogates and ends of lines


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read class names, one a line, in the order of the outputs.

    Raises:
        ConvlensError: the file is missing, has no names, or names a class twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors begin with a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        raise ConvlensError(f"the class names {path} cannot be read: {error}") from None
    # Lines end with \n alone: a name may hold what Unicode takes for the end of a line.
    names = [writable(line.strip()) for line in text.split("\n") if line.strip()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not names or twice:
        fault = f"names {twice[0]!r} twice" if twice else "is empty"
        raise ConvlensError(f"the file of class names {path} {fault}; write each class once, one a line")
    return tuple(names)


def writable(name: str) -> str:
    """A class name that every format, figure and terminal can hold: what they cannot is escaped.

    >>> writable("a\\nb"), writable("k\u00e4fer")
    ('a\\\\nb', 'käfer')
    """
    return "".join(legible(c) if category(c) in _UNWRITABLE else c for c in name)


def class_of(value: Any, names: Sequence[str] = ()) -> str:
    """The class that a value states, a text or a number; "" where it states none, as a missing one, or a list, does.

    Args:
        value: of a column, a JSON entry or a file of a label.
        names: of the classes, where numbers stand for them; a number beyond them states none.

    >>> class_of(" cat "), class_of(1.0), class_of(float("nan")), class_of(7, ["cat", "dog"])
    ('cat', '1', '', '')
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        text = value.strip()
        is_number = text.isascii() and text.removeprefix("-").isdecimal() and len(text) < 10
        return class_of(int(text), names) if names and is_number else text
    if isinstance(value, float) and math.isfinite(value):
        value = int(value) if value.is_integer() else value
    elif not isinstance(value, int):
        return ""
    if not names:
        return str(value)
    return names[int(value)] if 0 <= value < len(names) else ""
