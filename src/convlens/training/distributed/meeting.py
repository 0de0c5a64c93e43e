"""Processes find each other, and see that they are of one kind, before anything is computed."""

import contextlib
import json
import os
import platform
from datetime import timedelta
from functools import cache

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from convlens import __version__
from convlens.errors import ConvlensError
from convlens.training.distributed.launch import Place

_COMING = timedelta(seconds=300)  # for all to come
_READING = timedelta(seconds=30)
_ANSWERING = timedelta(minutes=15)  # for the slowest step of any process; then the others give up


def meet(place: Place) -> Store:
    """Wait for all processes and compare what they run.

    Returns:
        A store that all of them read and write.

    Raises:
        ConvlensError: not all have come in five minutes, or their versions of Convlens or torch differ.
    """
    store = _store(place)
    mine = {"host": platform.node(), "convlens": __version__, "torch": torch.__version__.split("+")[0]}
    store.set(f"here/{place.rank}", json.dumps(mine))
    store.set_timeout(_COMING)
    found = []
    for rank in range(place.size):
        try:
            found.append(json.loads(store.get(f"here/{rank}")))
        except RuntimeError:
            raise ConvlensError(
                f"rank {rank} of {place.size} did not come within {_COMING.seconds} s; see whether it was started, "
                f"and whether it reaches {place.address}:{place.port}"
            ) from None
    _wait_for_readers(place, store)
    for rank, theirs in enumerate(found):
        for what in ("convlens", "torch"):
            if theirs[what] != found[0][what]:
                raise ConvlensError(
                    f"rank {rank} on {theirs['host']} has {what} {theirs[what]} and rank 0 on {found[0]['host']} has "
                    f"{found[0][what]}; install the same on all"
                )
    return store


def join(place: Place, store: Store, device: torch.device) -> "tuple[dist.ProcessGroup, bool]":
    """Form the group of all processes: gloo on processors, NCCL on GPUs.

    Returns:
        A group for numbers on the processor, and whether the group of all was ours to form.
    """
    ours = not dist.is_initialized()
    if ours:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(
            backend, store=PrefixStore("group", store), rank=place.rank, world_size=place.size, timeout=_ANSWERING
        )
    group = dist.new_group(backend="gloo", timeout=_ANSWERING)
    assert group is not None, "every process is in it"
    return group, ours


def _wait_for_readers(place: Place, store: Store) -> None:
    """Rank 0, whose process may hold the store, does not leave before the others have read."""
    store.set(f"read/{place.rank}", "1")
    if place.rank == 0:
        with contextlib.suppress(RuntimeError):  # whoever is gone says so later
            store.wait([f"read/{rank}" for rank in range(place.size)], _READING)


_met = 0  # meetings of this process, each with keys of its own


def _store(place: Place) -> Store:
    global _met
    _met += 1
    # Whoever launched us may have formed a group, as Ray does.
    store = dist.distributed_c10d._get_default_store() if dist.is_initialized() else _rendezvous(place)
    turn = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return PrefixStore(f"convlens/{turn}/{_met}", store)


@cache  # for a second training of the same processes: rank 0 may still hold the store that others have come to already
def _rendezvous(place: Place) -> Store:
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = place.address, str(place.port)  # torch reads them there
    store: Store
    try:
        store, _, _ = next(rendezvous("env://", place.rank, place.size, timeout=_COMING))
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:150]
        raise ConvlensError(
            f"rank {place.rank} of {place.size} does not meet the others at {place.address}:{place.port} within "
            f"{_COMING.seconds} s ({reason}); see whether all were started, and that the port is open"
        ) from None
    return store
