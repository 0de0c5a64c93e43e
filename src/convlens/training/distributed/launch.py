"""Which process of how many this is, from what its launcher set. Needs no torch."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from convlens.errors import ConvlensError

_SLURM = {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_STEP_NUM_TASKS", "LOCAL_RANK": "SLURM_LOCALID"}
_FIRST_PORT, _PORTS = 20_000, 20_000  # of a Slurm job, by its number


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a process stands among those that were launched together.

    Attributes:
        rank: from 0.
        size: how many processes there are.
        local_rank: from 0 on its machine.
        address: of the machine of rank 0.
        port: on which rank 0 listens.
    """

    rank: int
    size: int
    local_rank: int
    address: str
    port: int


def launched(environment: Mapping[str, str] = os.environ) -> Place | None:
    """This process's place, or None if it was started alone.

    Raises:
        ConvlensError: variables of a launcher that are not whole, or no numbers.

    >>> launched({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "29500"}).rank
    1
    >>> launched({}) is None
    True
    """
    by_slurm = "RANK" not in environment and "SLURM_STEP_ID" in environment
    names = _SLURM if by_slurm else {name: name for name in _SLURM}
    if names["RANK"] not in environment or names["WORLD_SIZE"] not in environment:
        return None
    rank, size = (_number(environment, names[name]) for name in ("RANK", "WORLD_SIZE"))
    if size < 2:
        return None
    if not 0 <= rank < size:
        raise ConvlensError(f"{names['RANK']} is {rank} of {size} processes; use 0 to {size - 1}")
    address = environment.get("MASTER_ADDR") or (first_host(environment) if by_slurm else None)
    if address is None:
        raise ConvlensError(f"RANK is {rank} and MASTER_ADDR is not set; start with torchrun, or set it")
    port = _FIRST_PORT + _number(environment, "SLURM_JOB_ID", 0) % _PORTS if by_slurm else 29500
    return Place(
        rank=rank,
        size=size,
        local_rank=_number(environment, names["LOCAL_RANK"], rank),
        address=address,
        port=_number(environment, "MASTER_PORT", port),
    )


def first_host(environment: Mapping[str, str]) -> str | None:
    """The first host of a Slurm step.

    >>> first_host({"SLURM_STEP_NODELIST": "gpu[003-007,9],login1"}), first_host({"SLURM_STEP_NODELIST": "a,b"})
    ('gpu003', 'a')
    """
    hosts = environment.get("SLURM_STEP_NODELIST", "")
    found = re.match(r"([^,\[]+)(?:\[([^\],-]+))?", hosts)
    return found[1] + (found[2] or "") if found else None


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environment.get(name, None if default is None else str(default))
    try:
        return int(str(text))
    except ValueError:
        raise ConvlensError(f"{name} is {text!r}, which a launcher such as torchrun sets to a number") from None
