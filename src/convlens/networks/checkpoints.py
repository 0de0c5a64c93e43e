"""Files of weights, read without executing anything that is in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from convlens.errors import ConvlensError
from convlens.untrusted.pickles import load_pickle
from convlens.untrusted.tensors import load_tensors
from convlens.untrusted.untrusted_bytes import UntrustedFileError, read_whole

SUFFIXES = (".pth", ".pt", ".safetensors")
# What training scripts wrap around the entries: a dictionary of them, and modules around the network.
_WRAPPERS = ("state_dict", "model", "model_state_dict", "network", "net", "ema", "model_ema")
_OUTER_MODULES = ("module.", "_orig_mod.")


class WeightsFileError(ConvlensError):
    """A file of weights that is not there, damaged, or refused."""


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Read name -> tensor from a .pth, .pt or .safetensors file.

    Pickles are restricted to tensors and plain containers: a file that asks for anything else is refused, and nothing
    of it is executed.

    Raises:
        WeightsFileError: no such file, another kind of file, damaged, refused, or without tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsFileError(f"there is no file of weights {str(path)!r}; check the path")
    if path.suffix.lower() not in SUFFIXES:
        raise WeightsFileError(f"{str(path)!r} is not a file of weights; they end in {', '.join(SUFFIXES)}")
    try:
        read = load_tensors if path.suffix.lower() == ".safetensors" else load_pickle
        content = read(read_whole(path), path)
    except UntrustedFileError as error:
        raise WeightsFileError(str(error)) from None
    except OSError as error:
        raise WeightsFileError(f"{str(path)!r} cannot be opened: {error.strerror or error}") from None
    entries = _unwrap(content, path)
    for outer in _OUTER_MODULES:
        if all(name.startswith(outer) for name in entries):
            entries = {name.removeprefix(outer): value for name, value in entries.items()}
    return entries


def _unwrap(content: Any, path: Path) -> dict[str, Tensor]:
    if isinstance(content, Mapping):
        for wrapper in _WRAPPERS:
            inner = content.get(wrapper)
            if isinstance(inner, Mapping):
                return _unwrap(inner, path)
        entries = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
        if entries and len(entries) == len(content):
            return entries
        if entries:
            others = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
            raise WeightsFileError(f"{str(path)!r} has entries that are not tensors: {', '.join(others[:5])}")
    raise WeightsFileError(f"{str(path)!r} holds no weights; save the state_dict() of a network")
