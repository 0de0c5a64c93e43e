"""Whether a training step fits the memory that is free, and in how many parts it does."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from convlens.anatomy import training_memory
from convlens.training.config import TrainConfig
from convlens.training.trouble import TrainingError

_WORTH_A_LOOK = 300  # a step needs up to about so many times the bytes of its images; below that nothing is predicted
_RESERVE = 0.9  # of the free memory may be planned with


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an error means that memory did not suffice, on a GPU or on the processor."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def parts_that_fit(network: nn.Module, x_NCHW: Tensor, config: TrainConfig) -> tuple[int, int, int]:
    """In how many parts a batch should be computed so that a step fits the free memory.

    Args:
        network: what is trained.
        x_NCHW: a batch.
        config: names the optimiser, and the parts that the user wants at least.

    Returns:
        The parts, the bytes that a step then holds, and the free bytes; the bytes are 0 where nothing was predicted.
    """
    free = free_memory(x_NCHW.device)
    if x_NCHW.nbytes * _WORTH_A_LOOK < free * _RESERVE:
        return config.accumulate, 0, free
    optimizer = "sgd" if config.optimizer == "sgd" else "adamw"
    for parts in _doubling(config.accumulate, len(x_NCHW)):
        shape = (-(-len(x_NCHW) // parts), *x_NCHW.shape[1:])
        needed = training_memory(network, shape, optimizer=optimizer).total
        if needed < free * _RESERVE:
            return parts, needed, free
    raise TrainingError(
        f"a training step on one image needs about {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; "
        "take a smaller --size or a smaller network"
    )


def is_small(network: nn.Module, x_NCHW: Tensor, config: TrainConfig) -> bool:
    """Whether a step on a batch needs less than half of the free memory, so that it can be tried beside another."""
    free = free_memory(x_NCHW.device)
    if x_NCHW.nbytes * _WORTH_A_LOOK < free / 2:
        return True
    optimizer = "sgd" if config.optimizer == "sgd" else "adamw"
    return training_memory(network, tuple(x_NCHW.shape), optimizer=optimizer).total < free / 2


def free_memory(device: torch.device) -> int:
    """Bytes that can still be had on a device; of the processor's memory, what machine and container leave."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    limits = [_of_machine(), _of_container()]
    return min(limit for limit in limits if limit is not None) if any(limits) else 2**62


def _doubling(first: int, last: int) -> Iterable[int]:
    parts = first
    while parts < last:
        yield parts
        parts *= 2
    yield last


def _of_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None)


def _of_container(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What the control group leaves, counting its file cache as free."""
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        details = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return None
    return None if limit == "max" else int(limit) - used + int(details.get("file", 0))
