"""A loss or a weight that is not a number."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from convlens.errors import ConvlensError
from convlens.training.averaging import own_share


class TrainingError(ConvlensError):
    """A training that cannot go on."""


def check_loss(loss: float, *, epoch: int, step: int, rate: float, run: Path, where: str = "") -> None:
    """Stop if the loss is not a number.

    Raises:
        TrainingError: naming the step, what is kept and what helps.
    """
    if not math.isfinite(loss):
        raise TrainingError(
            f"{where}the loss became {loss} in epoch {epoch + 1}, step {step}, at learning rate {rate:.2g}; the last "
            f"good checkpoint is kept in {run}; start a new run with a smaller --lr or --clip-norm 1, or --precision "
            "float32"
        )


def check_weights_finite(network: nn.Module, *, epoch: int, step: int, run: Path) -> None:
    """Stop if a weight is not a number, before it could overwrite a good checkpoint."""
    numbers = [tensor for tensor in network.state_dict().values() if tensor.is_floating_point() and not tensor.is_meta]
    if not bool(torch.stack([own_share(tensor).float().sum() for tensor in numbers]).isfinite().all()):
        raise TrainingError(
            f"weights became infinite or nan in epoch {epoch + 1}, step {step}; the last good checkpoint is kept "
            f"in {run}; start a new run with a smaller --lr or --clip-norm 1, or --precision float32"
        )


def check_answers(p_NK: torch.Tensor, *, epoch: int, run: Path) -> None:
    """Stop if a network whose weights are numbers gives probabilities that are none, as after an overflow.

    Raises:
        TrainingError: naming the epoch, what is kept and what helps.
    """
    wrong = int((~p_NK.isfinite().all(dim=1)).sum())
    if wrong:
        raise TrainingError(
            f"after epoch {epoch + 1} the network gives no numbers for {wrong:,} of {len(p_NK):,} validation images; "
            f"the last good checkpoint is kept in {run}; start a new run with a smaller --lr or --clip-norm 1"
        )


@contextmanager
def explained(images: int) -> Iterator[None]:
    """Say what a norm means that gets a single value a channel, from which no mean and deviation can be taken.

    Args:
        images: that go through the network at a time.
    """
    try:
        yield
    except ValueError as error:
        if "Expected more than 1" not in str(error):
            raise
        shape = str(error).rsplit("input size ", 1)[-1].removeprefix("torch.Size(").rstrip(")")
        raise TrainingError(
            f"with {images} image{'s' if images > 1 else ''} at a time a norm gets a single value a channel (its "
            f"input is {shape}), which has no deviation; use a larger --batch, fewer parts with --accumulate, a larger "
            "--size, or a network without batch norms"
        ) from None
