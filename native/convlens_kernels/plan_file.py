"""A program in one file: packed weights, steps, and whatever its maker adds. README.md describes the bytes."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .program import ALIGNMENT, Program, isa, isas

MAGIC = b"CONVLENSPLAN"
VERSION = 1
_HEADER = struct.Struct("<12sIQQ32s")  # magic, version, bytes of JSON, bytes of the file, SHA-256 of what follows
assert _HEADER.size == ALIGNMENT


class PlanError(ValueError):
    """A file that is no plan, is damaged, or was made for another processor or version; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a plan file holds. The constants lie in the mapped file, which lives as long as they do."""

    path: Path
    description: dict[str, Any]
    constants: list[npt.NDArray[np.uint8]]
    metadata: dict[str, Any]

    def program(self, *, threads: int = 1) -> Program:
        """The program, checked. PlanError if a step is wrong or if it was made for another instruction set."""
        made_for = self.description.get("isa")
        if made_for != isa():
            runs = ", ".join(isas())
            remedy = (
                f"set CONVLENS_ISA={made_for} to run it here"
                if made_for in isas()
                else "export it again on this machine"
            )
            raise PlanError(
                f"{self.path} was made for {made_for}; this process uses {isa()} ({runs} run here): {remedy}"
            )
        try:
            return Program(self.description, self.constants, threads=threads)
        except (ValueError, TypeError, OverflowError) as error:
            raise PlanError(f"{self.path} cannot be run: {error}; export it again") from None


def write_plan(
    path: str | Path, description: Mapping[str, Any], constants: Sequence[Any], metadata: Mapping[str, Any]
) -> None:
    """Write a plan; the file appears whole or not at all."""
    arrays = [np.frombuffer(c, np.uint8) for c in constants]
    places: list[list[int]] = []

    def text() -> bytes:
        return json.dumps(
            {"description": description, "constants": places, "metadata": metadata}, separators=(",", ":")
        ).encode()

    # the places are part of the text that comes before them: their digits are reserved first
    offset = 0
    for array in arrays:
        places.append([10**15, array.size])
    room = _aligned(len(text()))
    for place, array in zip(places, arrays, strict=True):
        place[0] = _HEADER.size + room + offset
        offset += _aligned(array.size)
    body = text().ljust(room)
    digest = hashlib.sha256(body)
    for array in arrays:
        digest.update(array)
        digest.update(bytes(_aligned(array.size) - array.size))
    header = _HEADER.pack(MAGIC, VERSION, room, _HEADER.size + room + offset, digest.digest())
    target = Path(path)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(header)
            file.write(body)
            for array in arrays:
                file.write(array)
                file.write(bytes(_aligned(array.size) - array.size))
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_plan(path: str | Path) -> Plan:
    """Map a plan into memory and check that it is whole.

    Raises:
        PlanError: it is no plan, another version's, cut short or changed.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < _HEADER.size:
                raise PlanError(f"{path} is no plan: it has {size} bytes; export one with --to plan")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise PlanError(f"{path} cannot be opened: {error.strerror or error}") from None
    magic, version, text_bytes, file_bytes, checksum = _HEADER.unpack_from(mapped)
    if magic != MAGIC:
        raise PlanError(f"{path} is no plan; export one with --to plan")
    if version != VERSION:
        raise PlanError(f"{path} is of version {version}, and this convlens-kernels reads {VERSION}: export it again")
    content = np.frombuffer(mapped, np.uint8)
    if file_bytes != content.size or text_bytes > content.size - _HEADER.size:
        raise PlanError(
            f"{path} is damaged: it says {file_bytes} bytes and has {content.size}; copy or export it again"
        )
    if hashlib.sha256(content[_HEADER.size :]).digest() != checksum:
        raise PlanError(f"{path} is damaged: its checksum is not that of its content; copy or export it again")
    try:
        parsed = json.loads(content[_HEADER.size : _HEADER.size + text_bytes].tobytes())
        description, metadata = dict(parsed["description"]), dict(parsed["metadata"])
        constants = [_constant(content, *place) for place in parsed["constants"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise PlanError(f"{path} cannot be read: {error}; export it again") from None
    return Plan(path=path, description=description, constants=constants, metadata=metadata)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _constant(content: npt.NDArray[np.uint8], offset: Any, size: Any) -> npt.NDArray[np.uint8]:
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in (offset, size))
    if not whole or offset % ALIGNMENT or offset + size > content.size:
        raise ValueError(f"a constant at {offset!r} of {size!r} bytes does not lie in the file")
    return content[offset : offset + size]
