"""A loss or a weight that is no number."""

import math
from pathlib import Path

import torch
from torch import nn

from convlens.errors import ConvlensError


class TrainingError(ConvlensError):
    """A training that cannot go on."""


def check_loss(loss: float, *, epoch: int, step: int, rate: float, run: Path) -> None:
    """Stop if the loss is no number.

    Raises:
        TrainingError: naming the step, what is kept and what helps.
    """
    if not math.isfinite(loss):
        raise TrainingError(
            f"the loss became {loss} in epoch {epoch + 1}, step {step}, at learning rate {rate:.2g}; the last good "
            f"checkpoint is kept in {run}; start a new run with a smaller --lr or --clip-norm 1, or --precision float32"
        )


def check_weights_finite(network: nn.Module, *, epoch: int, step: int, run: Path) -> None:
    """Stop if a weight is no number, before it could overwrite a good checkpoint."""
    sums = [parameter.detach().sum() for parameter in network.parameters()]
    if not bool(torch.stack(sums).isfinite().all()):
        raise TrainingError(
            f"weights became infinite or nan in epoch {epoch + 1}, step {step}; the last good checkpoint is kept "
            f"in {run}; start a new run with a smaller --lr or --clip-norm 1, or --precision float32"
        )
