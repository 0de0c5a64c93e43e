"""A team of several processes, each with the whole network and its part of every batch (data parallelism)."""

import gc
import platform
import secrets
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from convlens import files
from convlens.errors import ConvlensError
from convlens.predicting.devices import choose_device
from convlens.runs.busy import trained_by_us_alone
from convlens.training.distributed.launch import Place
from convlens.training.distributed.synchronised import synchronised
from convlens.training.team import Team

_Made = TypeVar("_Made")


class Ranks(Team):
    """Processes that train one network together: `DistributedDataParallel`.

    Args:
        place: of this process.
        device: that it computes on.
        control: a group for numbers on the processor, so that no GPU is waited for.
        synchronise: whether norms take their statistics from the batch of all.
    """

    def __init__(self, place: Place, device: torch.device, control: dist.ProcessGroup, *, synchronise: bool) -> None:
        self.rank, self.size = place.rank, place.size
        self.data_share = (place.rank, place.size)
        self.local_device, self.control, self.synchronise = device, control, synchronise
        self._wrapped: tuple[Any, nn.Module] | None = None
        self._losses = torch.zeros(place.size, device=device)

    @property
    def about(self) -> str:
        """How many share the work, as the end of a sentence."""
        return f", {self.size} processes"

    @property
    def seed(self) -> tuple[int, ...]:
        """The rank, for dropout."""
        return (self.rank,)

    def device(self, name: str) -> torch.device:  # noqa: ARG002 - it was chosen when the group was formed
        """The device of this process."""
        return self.local_device

    def first(self, make: Callable[[], _Made]) -> _Made:
        """What the first process makes, for all."""
        box = [make() if self.rank == 0 else None]
        dist.broadcast_object_list(box, src=0, group=self.control)
        return box[0]  # type: ignore[return-value]

    def gathered(self, value: Any) -> list[Any]:
        """The value of every process, by rank."""
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value, group=self.control)
        return found

    def check_same(self, what: str, value: Hashable) -> None:
        """Raise in every process if `value` is not the same in all."""
        found = self.gathered((platform.node(), value))
        for rank, (host, theirs) in enumerate(found):
            if theirs != found[0][1]:
                raise ConvlensError(
                    f"rank {rank} on {host} has another {what} than rank 0 on {found[0][0]} ({str(theirs)[:12]}, not "
                    f"{str(found[0][1])[:12]}); give all the same"
                )

    def check_shared(self, folder: Path) -> None:
        """Raise in every process if not all of them see a folder that the first one has made."""
        token = self.first(lambda: secrets.token_hex(8))
        path = folder / ".shared"
        if self.rank == 0:
            files.write_text(path, token)
        dist.barrier(group=self.control)
        try:
            seen = path.read_text(encoding="utf-8") == token
        except OSError:
            seen = False
        found = self.gathered((platform.node(), seen))
        if self.rank == 0:
            path.unlink(missing_ok=True)
        for rank, (host, sees) in enumerate(found):
            if not sees:
                raise ConvlensError(
                    f"rank {rank} on {host} does not see {folder}, which rank 0 on {found[0][0]} has made; "
                    "choose a folder on storage that all share, with --runs"
                )

    @contextmanager
    def alone_in(self, folder: Path) -> Iterator[None]:
        """Hold a run folder for the length of a training; one process does it for all."""
        with trained_by_us_alone(folder) if self.rank == 0 else nullcontext():
            yield

    def computing(self, network: nn.Module) -> AbstractContextManager[Any]:
        """A context in which norms take their statistics from the batch of all, if they shall."""
        return synchronised(network, dist.group.WORLD) if self.synchronise else nullcontext()

    def learning(self, network: nn.Module) -> nn.Module:
        """The network with gradients that are averaged over all; made anew where other weights learn."""
        key = (id(network), tuple(parameter.requires_grad for parameter in network.parameters()))
        if self._wrapped is None or self._wrapped[0] != key:
            self._wrapped = None
            gc.collect()  # the one before hangs on in cycles, and its hooks with it
            on_gpu = self.local_device.type == "cuda"
            ids = [self.local_device.index] if on_gpu else None
            # Statistics of norms are those of the first process before every step, as in its checkpoint.
            self._wrapped = key, DistributedDataParallel(network, device_ids=ids, gradient_as_bucket_view=True)
        return self._wrapped[1]

    def counted(self, images: int) -> float:
        """The images of the whole batch over the processes: gradients are averaged over these."""
        total = torch.tensor([images])
        dist.all_reduce(total, group=self.control)
        return total.item() / self.size

    def mean(self, loss: Tensor) -> Tensor:
        """The mean over the processes of a scalar, without a wait for a GPU."""
        found = torch.empty(self.size, 1, device=loss.device)
        dist.all_gather(list(found), loss.detach().reshape(1).float())
        self._losses += found[:, 0]
        return found.mean()

    def suspect(self) -> str:
        """Whose loss was no number, as the beginning of a sentence."""
        bad = (~self._losses.isfinite()).nonzero().flatten().tolist()
        return f"on rank {', '.join(map(str, bad))} " if bad else ""

    def agreed(self, signal: int, due: bool) -> tuple[int, bool]:
        """The signal by which any process was asked to stop, and whether a checkpoint is due for any."""
        both = torch.tensor([signal, due])
        dist.all_reduce(both, dist.ReduceOp.MAX, group=self.control)
        return int(both[0]), bool(both[1])

    def evaluating(self, network: nn.Module) -> nn.Module:
        """The network with the statistics of the first process, which are those that are kept."""
        for buffer in network.buffers():
            dist.broadcast(buffer, src=0)
        return network

    def in_turns(self, parts: list[Tensor], batches: int) -> list[Tensor]:  # noqa: ARG002 - for those that share a network
        """What processes made of so many batches, each its own in turns, in the order of the batches."""
        of = self.data_share[1]
        found = self.gathered([part.cpu() for part in parts])[:: self.size // of]
        longest = max(len(each) for each in found)
        return [each[turn] for turn in range(longest) for each in found if turn < len(each)]

    def farewell(self) -> str | None:
        """Wait for all once more, and let go of what is shared."""
        dist.barrier(group=self.control)
        self._wrapped = None
        gc.collect()
        return None


def device_of(name: str, place: Place) -> torch.device:
    """The device of a process: its own GPU where there are some.

    Raises:
        ConvlensError: more processes than GPUs on a machine.
    """
    device = choose_device(name)
    if device != torch.device("cuda"):
        return device
    gpus = torch.cuda.device_count()
    if place.local_rank >= gpus:
        raise ConvlensError(
            f"{place.local_rank + 1} or more processes were started on {platform.node()}, which has {gpus} "
            f"GPU{'s' if gpus > 1 else ''}; start {gpus}, or give --device cpu"
        )
    return torch.device("cuda", place.local_rank)
