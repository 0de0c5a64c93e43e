"""The images that the words of a command name: files, folders, patterns, addresses, and what is piped in."""

import sys
from collections.abc import Sequence

from convlens.data.reaching import is_address
from convlens.errors import ConvlensError
from convlens.predicting import find_files, list_inputs
from convlens.predicting.prediction_inputs import Input, from_bytes

STANDARD_INPUT = "/dev/stdin"  # what - is read as


def asked_about(words: Sequence[str]) -> list[Input]:
    """The images that the words of a command name, in order, each once.

    Raises:
        ConvlensError: no image is named, or nothing comes on the standard input though - names it.
    """
    if not any(word == STANDARD_INPUT or is_address(word) for word in words):
        return list_inputs(find_files(words))
    inputs = [one for word in words for one in (_piped_in() if word == STANDARD_INPUT else list_inputs(word))]
    return list({one.name: one for one in inputs}.values())


def _piped_in() -> list[Input]:
    """An image on the standard input, or the images whose names come on it, one a line."""
    content = b"" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read()
    if not content.strip():
        raise ConvlensError("- is the standard input, and nothing comes on it; pipe an image, or names of images, in")
    try:
        lines = content.decode().splitlines() if b"\0" not in content else []
    except UnicodeDecodeError:
        lines = []
    names = [line.strip() for line in lines if line.strip()]
    if not names or names[0].startswith(("<", "%", "P1", "P2", "P3", "#")):  # formats that are text
        return [from_bytes(content, "-")]
    return [one for name in names for one in list_inputs(name if "://" in name else find_files([name]))]
