"""Files of weights, read without executing anything that is in them."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from convlens.errors import ConvlensError

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
        raise WeightsFileError(f"{str(path)!r} is no file of weights; they end in {', '.join(SUFFIXES)}")
    content = _read_safetensors(path) if path.suffix.lower() == ".safetensors" else _read_pickle(path)
    entries = _unwrap(content, path)
    for outer in _OUTER_MODULES:
        if all(name.startswith(outer) for name in entries):
            entries = {name.removeprefix(outer): value for name, value in entries.items()}
    return entries


def _read_safetensors(path: Path) -> Any:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from None


def _read_pickle(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about storages of old formats, which still load
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked_for = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked_for is None:  # a pickle that torch.save does not write: not read further either
            raise _damaged(path, "no pickle of torch.save") from None
        raise WeightsFileError(
            f"{str(path)!r} is refused: its pickle holds more than tensors and could execute code ({asked_for[1]}); "
            "get the weights as .safetensors, or save only a state_dict()"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, why: Exception | str) -> WeightsFileError:
    reason = " ".join(str(why).split()).split(". ")[0][:200] or type(why).__name__
    return WeightsFileError(f"{str(path)!r} is damaged or holds no weights ({reason}); get it again")


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
            raise WeightsFileError(f"{str(path)!r} has entries that are no tensors: {', '.join(others[:5])}")
    raise WeightsFileError(f"{str(path)!r} holds no weights; save the state_dict() of a network")
