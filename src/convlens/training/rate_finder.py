"""The learning rate range test (Smith 2017, section 3.3): raise the rate until the loss explodes."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
import torch
from numpy.typing import NDArray

from convlens.errors import ConvlensError
from convlens.evaluation.figures import Curves
from convlens.training.config import TrainConfig
from convlens.training.material import gather
from convlens.training.optimisers import make_optimizer, set_rate
from convlens.training.speed.numerics import threads_of

_MEMORY = 0.9  # of the running mean that says when to stop
_EXPLODED = 4  # times the smallest running mean
_WINDOW = 0.25  # decades: the deviation of the bell that smooths the loss, so that no single batch decides anything
_SKIPPED = 0.1  # of the steps at the start, where the network has not begun to learn
_CERTAIN = 5  # a fall must be so many times what chance moves the smoothed loss by


@dataclass(frozen=True, kw_only=True)
class RateSweep:
    """Rates and the loss at each, smoothed over a quarter of a decade to both sides.

    `suggestion` is the rate at which the loss fell fastest, `largest` the one at which it was smallest, both
    for steps of `batch` images; None if that is not known.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float
    largest: float
    batch: int | None = None

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
        ConvlensError: a range without an inside, a loss that is not a number from the start, or a loss from which no
            rate can be read: it does not fall, or it falls fastest at an end of the range.
    """
    if not 0 < lowest < highest or steps < 10:
        raise ConvlensError(
            f"rates from {lowest} to {highest} in {steps} steps; use a rising range and 10 steps or more"
        )
    material = gather(config, say)
    config = material.config
    network, optimizer = material.network.train(), make_optimizer(material.network, config)
    rates: list[float] = []
    losses: list[float] = []
    average, smallest = 0.0, math.inf
    with threads_of(config.threads or torch.get_num_threads()), torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        batches = (batch for epoch in count() for batch in material.train_loader.epoch(epoch, device=material.device))
        for step, batch in zip(range(steps), batches, strict=False):
            rate = lowest * (highest / lowest) ** (step / (steps - 1))
            set_rate(optimizer, rate)
            targets = batch.labels if batch.soft_labels is None else batch.soft_labels
            loss = material.step(network, optimizer, batch.images, targets, config.accumulate).item()
            average = _MEMORY * average + (1 - _MEMORY) * loss
            running = average / (1 - _MEMORY ** (step + 1))
            if not math.isfinite(running) or running > _EXPLODED * smallest:
                break
            smallest = min(smallest, running)
            rates.append(rate)
            losses.append(loss)
            if on_progress:
                on_progress(step + 1, steps)
    if len(losses) < 10:
        raise ConvlensError(f"the loss explodes at once; lower the first rate, which is {lowest:g}")
    return replace(read_sweep(rates, losses), batch=config.batch)


def read_sweep(rates: Sequence[float], losses: Sequence[float]) -> RateSweep:
    """Read a rate off the losses of a sweep.

    Args:
        rates: rising by the same factor from each to the next.
        losses: of the batch at each rate.

    Raises:
        ConvlensError: the loss does not fall, or it falls fastest at an end of the range.
    """
    window = max(1.0, _WINDOW * (len(rates) - 1) / math.log10(rates[-1] / rates[0]))  # in steps
    smooth, noise = _smoothed(np.asarray(losses), window)
    first = round(_SKIPPED * len(rates))
    smallest = first + int(smooth[first:].argmin())
    between = f"from {rates[0]:.1e} to {rates[-1]:.1e}"
    if smooth[first] - smooth[smallest] < _CERTAIN * noise:
        raise ConvlensError(
            f"the loss does not clearly fall {between} (from {smooth[first]:.2f} to {smooth[smallest]:.2f}, and "
            f"chance moves it by {noise:.2f}); take more steps, a larger batch or other rates"
        )
    slopes = np.gradient(smooth)[first : smallest + 1]
    steepest = first + int(slopes.argmin())
    if steepest < first + window:
        raise ConvlensError(f"the loss falls fastest at the start, {between}; lower the first rate")
    if steepest + window >= len(rates):
        raise ConvlensError(f"the loss falls fastest at the end, {between}; raise the last rate")
    return RateSweep(
        rates=tuple(rates),
        losses=tuple(smooth.tolist()),
        suggestion=rates[steepest],
        largest=rates[smallest],
    )


def _smoothed(raw: NDArray[np.float64], window: float) -> tuple[NDArray[np.float64], float]:
    """The loss without the noise of the batches, and the standard error that is left in it."""
    from scipy.ndimage import gaussian_filter1d  # here, because importing it takes longer than convlens --help

    before = raw[: max(10, len(raw) // 3)]
    noise = float(np.diff(before).std() / math.sqrt(2)) / math.sqrt(2 * math.sqrt(math.pi) * window)
    # the explosion at the end is cut off, or the bell would carry it back to smaller rates
    return gaussian_filter1d(np.minimum(raw, 1.2 * np.median(before)), window, mode="nearest"), noise
