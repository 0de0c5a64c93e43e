"""The subset of pickle that holds arrays of numbers: read without running anything that the file asks for.

A pickle may name any function and have it called. This reader knows four names; behind each stands a stand-in that can
only build an array of numbers, and every other name is refused.
"""

import pickle
from io import BytesIO
from typing import Any

import numpy as np

from convlens.data.dataset import DataError


class _Type:
    """Stands in for numpy.dtype: keeps the name of a plain number type."""

    def __init__(self, name: str, *_: Any) -> None:
        self.type = np.dtype(name) if name in {"u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"} else None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if self.type is not None and state[1] in ("<", ">"):
            self.type = self.type.newbyteorder(state[1])


class _Array:
    """Stands in for numpy.ndarray and its reconstruction."""

    def __init__(self, *_: Any) -> None:
        self.array = np.zeros(0, np.uint8)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, by_columns, content = state
        if not isinstance(kind, _Type) or kind.type is None:
            raise pickle.UnpicklingError("it holds an array of something else than numbers")
        content = content.encode("latin1") if isinstance(content, str) else content
        self.array = np.frombuffer(content, kind.type).reshape(shape, order="F" if by_columns else "C")


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes text as {encoding}")
    return text.encode("latin1")


_KNOWN = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("_codecs", "encode"): _encode,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _KNOWN[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError(f"it refers to something outside itself ({pid!r})")


def read_arrays(content: bytes, name: str) -> dict[str, Any]:
    """Read a pickled dictionary of arrays, numbers, texts and lists of these; its keys become text.

    Raises:
        DataError: the pickle asks for anything else, or is damaged.
    """
    try:
        loaded = _Reader(BytesIO(content), encoding="latin1").load()
    # A damaged pickle fails in any way that the stand-ins and the virtual machine can.
    except Exception as error:
        raise DataError(
            f"{name} is refused or damaged: {' '.join(str(error).split()) or type(error).__name__}"
        ) from None
    if not isinstance(loaded, dict):
        raise DataError(f"{name} holds no dictionary")
    return {_text(key): value.array if isinstance(value, _Array) else value for key, value in loaded.items()}


def _text(key: Any) -> str:
    return key.decode("latin1") if isinstance(key, bytes) else str(key)
