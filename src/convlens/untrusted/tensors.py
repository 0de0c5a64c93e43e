"""safetensors: the names, shapes and texts in its header, and its tensors, from bytes that were checked."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlens.untrusted.sealing import BLANK, NAME, check_seal, seal
from convlens.untrusted.untrusted_bytes import UntrustedFileError, read_whole

if TYPE_CHECKING:
    import torch

_MOST_HEADER = 100_000_000  # bytes; the format's own limit


def write_sealed(state: "Mapping[str, torch.Tensor]", strings: Mapping[str, str], name: str = NAME) -> bytes:
    """Give a safetensors file of tensors and texts that carries its digest."""
    from safetensors.torch import save

    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    return seal(save(tensors, {**strings, name: BLANK}))


def read_sealed(path: Path) -> "dict[str, torch.Tensor]":
    """Read the tensors that `write_sealed` was given.

    Raises:
        UntrustedFileError: it is damaged, or not sealed.
        OSError: it cannot be opened.
    """
    content = read_whole(path)
    check_seal(content, path)
    return load_tensors(content, path)


def read_texts(content: bytes, where: str | Path) -> dict[str, str]:
    """Read the texts in the header of a safetensors file.

    Raises:
        UntrustedFileError: it is truncated or no such file.
    """
    texts: dict[str, str] = _header(content, where).get("__metadata__", {})
    return texts


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read names and shapes alone, and check that the file is as long as they say; the tensors are not read.

    Raises:
        UntrustedFileError: it is truncated or no such file.
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        beginning = file.read(8)
        length = int.from_bytes(beginning, "little")
        content = beginning + file.read(min(length, _MOST_HEADER))
    entries = _header(content, path)
    entries.pop("__metadata__", None)
    try:
        shapes = {name: tuple(int(side) for side in entry["shape"]) for name, entry in entries.items()}
        end = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        raise _broken(path, "its header does not describe tensors") from None
    if path.stat().st_size != 8 + length + end:
        raise _broken(path, f"{path.stat().st_size:,} bytes for {8 + length + end:,}")
    return shapes


def load_tensors(content: bytes, where: str | Path) -> "dict[str, torch.Tensor]":
    """Read the tensors of a safetensors file.

    Raises:
        UntrustedFileError: it is truncated or no such file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    _header(content, where)
    try:
        tensors: dict[str, torch.Tensor] = load(content)
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise _broken(where, " ".join(str(error).split())[:120] or type(error).__name__) from None
    return tensors


def _header(content: bytes, where: str | Path) -> dict[str, Any]:
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(_MOST_HEADER, len(content) - 8):
        raise _broken(where, f"{len(content):,} bytes")
    try:
        header = json.loads(content[8 : 8 + length], object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise _broken(where, " ".join(str(error).split())[:120]) from None
    texts = header.get("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise _broken(where, "its header is none")
    return dict(header)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object in which no name comes twice, since two readers would take different ones."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def _broken(where: str | Path, reason: str) -> UntrustedFileError:
    return UntrustedFileError(f"{where} is damaged (truncated or no safetensors file: {reason}); get it again")
