"""Who trains: this process alone. `training.distributed` has a team of several, which answers the same questions."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from convlens.predicting.devices import choose_device
from convlens.runs.busy import trained_by_us_alone
from convlens.training.step import Step

_Made = TypeVar("_Made")


class Team:
    """A team of one, and what a team of several changes about a training.

    Attributes:
        rank: which of the processes this is, from 0.
        size: how many there are.
        data_share: (rank, of) by which batches are divided.
        splits_network: whether no process has the whole network.
    """

    rank, size = 0, 1
    data_share = (0, 1)
    splits_network = False

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes files and talks."""
        return self.rank == 0

    @property
    def about(self) -> str:
        """Who shares the work, as the end of a sentence."""
        return ""

    @property
    def seed(self) -> tuple[int, ...]:
        """What is added to a seed where processes must draw different numbers."""
        return ()

    def device(self, name: str) -> torch.device:
        """The device that a configuration names, for this process."""
        return choose_device(name)

    def first(self, make: Callable[[], _Made]) -> _Made:
        """What the first process makes, for all."""
        return make()

    def check_same(self, what: str, value: Hashable) -> None:
        """Raise in every process if `value` is not the same in all."""

    def check_shared(self, folder: Path) -> None:
        """Raise in every process if not all of them see a folder that the first one has made."""

    @contextmanager
    def alone_in(self, folder: Path) -> Iterator[None]:
        """Hold a run folder for the length of a training."""
        with trained_by_us_alone(folder):
            yield

    def spread(self, network: nn.Module, average: nn.Module | None, x_shape: Sequence[int]) -> None:
        """Divide a network, and its average, among the processes, where none shall have the whole."""

    def computing(self, network: nn.Module) -> AbstractContextManager[Any]:  # noqa: ARG002 - for several
        """A context in which the network computes as the team needs."""
        return nullcontext()

    def stepping(self, step: Step) -> Step:
        """The step as the team does it."""
        return step

    def learning(self, network: nn.Module) -> nn.Module:
        """A network whose gradients are those of the whole batch."""
        return network

    def counted(self, images: int) -> float:
        """By how many images this process divides its loss, so that all together have the mean of the batch."""
        return images

    def mean(self, loss: Tensor) -> Tensor:
        """The mean over the processes of a scalar."""
        return loss

    def suspect(self) -> str:
        """Whose loss is not a number, as the beginning of a sentence."""
        return ""

    def agreed(self, signal: int, due: bool) -> tuple[int, bool]:
        """The signal by which any process was asked to stop, and whether a checkpoint is due for any."""
        return signal, due

    def evaluating(self, network: nn.Module) -> nn.Module:
        """The network with the same statistics in every process."""
        return network

    def in_turns(self, parts: list[Tensor], batches: int) -> list[Tensor]:  # noqa: ARG002 - for several
        """What processes made of so many batches, each its own in turns, in the order of the batches."""
        return parts

    def whole(self, part: Any) -> Any:
        """Something with a state dict, such that its state dict is that of the whole."""
        return part

    def farewell(self) -> str | None:
        """Wait for all once more, and give a note for the user; from here on each is alone."""
        return None


ALONE = Team()
