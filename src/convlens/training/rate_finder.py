"""The learning rate range test (Smith 2017, section 3.3): raise the rate until the loss explodes."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import torch

from convlens.errors import ConvlensError
from convlens.evaluation.figures import Curves
from convlens.training.config import TrainConfig
from convlens.training.material import gather
from convlens.training.optimisers import make_optimizer, set_rate

_SMOOTHING = 0.9  # of the loss, so that one batch decides nothing
_EXPLODED = 4  # times the smallest loss


@dataclass(frozen=True, kw_only=True)
class RateSweep:
    """Rates and the smoothed loss at each; `suggestion` is where it fell fastest, `largest` where it was smallest."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float
    largest: float

    def figure(self) -> Curves:
        """The loss over the logarithm of the rate."""
        return Curves(
            name="find_lr",
            title=f"Loss while the rate rises; suggestion {self.suggestion:.2g}",
            x_label="log10 of the learning rate",
            y_label="loss, smoothed",
            x=[math.log10(rate) for rate in self.rates],
            series={"loss": self.losses},
        )


def find_rate(
    config: TrainConfig,
    *,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 100,
    say: Callable[[str], None] = lambda _: None,
    on_progress: Callable[[int, int], None] | None = None,
) -> RateSweep:
    """Train for a moment with a rate that rises by the same factor in every step, and leave nothing behind.

    Args:
        config: the training that a rate is wanted for.
        lowest: the first rate.
        highest: the last rate, unless the loss explodes before.
        steps: from the first to the last.
        say: takes notes for the user.
        on_progress: called with how many steps are done and how many there are.

    Raises:
        ConvlensError: a range without an inside, or a loss that is no number from the start.
    """
    if not 0 < lowest < highest or steps < 10:
        raise ConvlensError(
            f"rates from {lowest} to {highest} in {steps} steps; use a rising range and 10 steps or more"
        )
    material = gather(config, say)
    network, optimizer = material.network.train(), make_optimizer(material.network, config)
    rates: list[float] = []
    losses: list[float] = []
    average = 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        batches = (batch for epoch in count() for batch in material.train_loader.epoch(epoch, device=material.device))
        for step, batch in zip(range(steps), batches, strict=False):
            rate = lowest * (highest / lowest) ** (step / (steps - 1))
            set_rate(optimizer, rate)
            targets = batch.labels if batch.soft_labels is None else batch.soft_labels
            loss = material.step(network, optimizer, batch.images, targets, config.accumulate).item()
            average = _SMOOTHING * average + (1 - _SMOOTHING) * loss
            smoothed = average / (1 - _SMOOTHING ** (step + 1))
            if not math.isfinite(smoothed) or (losses and smoothed > _EXPLODED * min(losses)):
                break
            rates.append(rate)
            losses.append(smoothed)
            if on_progress:
                on_progress(step + 1, steps)
    if len(losses) < 5:
        raise ConvlensError(f"the loss explodes at once; lower the first rate, which is {lowest}")
    return _read(rates, losses)


def _read(rates: list[float], losses: list[float]) -> RateSweep:
    smallest = losses.index(min(losses))
    falls = [losses[i] - losses[i + 1] for i in range(max(1, smallest))]
    return RateSweep(
        rates=tuple(rates),
        losses=tuple(losses),
        suggestion=rates[falls.index(max(falls))],
        largest=rates[smallest],
    )
