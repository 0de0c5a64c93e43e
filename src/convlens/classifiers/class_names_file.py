"""Class names from a file."""

from pathlib import Path

from convlens.errors import ConvlensError


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read class names, one a line, in the order of the outputs.

    Raises:
        ConvlensError: the file is missing, has no names, or names a class twice.
    """
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConvlensError(f"the class names {path} cannot be read: {error}") from None
    twice = sorted({name for name in names if names.count(name) > 1})
    if not names or twice:
        fault = f"names {twice[0]!r} twice" if twice else "is empty"
        raise ConvlensError(f"the file of class names {path} {fault}; write each class once, one a line")
    return tuple(names)
