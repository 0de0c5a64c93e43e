"""The same training with several seeds: a mean, and how far it can be trusted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from convlens import runs
from convlens.errors import ConvlensError
from convlens.training.config import TrainConfig
from convlens.training.progress import Watcher
from convlens.training.train import Outcome, start


@dataclass(frozen=True, kw_only=True)
class Several:
    """Runs that differ in their seed alone, and the mean of their accuracy with a 95 % interval."""

    folders: tuple[runs.RunFolder, ...]
    accuracies: tuple[float, ...]
    mean: float
    low: float
    high: float


def start_several(config: TrainConfig, seeds: int, watcher_of: "Any") -> "Several | Outcome":
    """Train with seeds from the configuration's on.

    Args:
        config: the training; its seed is the first one.
        seeds: how many, at least 2.
        watcher_of: makes a watcher for each run.

    Returns:
        All runs, or the outcome of the one that the user stopped.

    Raises:
        ConvlensError: fewer than two seeds.
    """
    if seeds < 2:
        raise ConvlensError(f"seeds is {seeds}; use at least 2 for an interval")
    done = []
    for seed in range(config.seed, config.seed + seeds):
        watcher: Watcher = watcher_of()
        name = f"{config.name or config.network}-seed{seed}"
        outcome = start(replace(config, seed=seed, name=name), watcher)
        if outcome.stopped_by:
            return outcome
        done.append(outcome.folder)
    accuracies = [_accuracy(folder.description.result) for folder in done]
    mean, low, high = student_interval(accuracies)
    return Several(
        folders=tuple(done),
        accuracies=tuple(accuracies),
        mean=mean,
        low=max(low, 0.0),  # few seeds that differ much give an interval that no accuracy can fill
        high=min(high, 1.0),
    )


def student_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean of a few values and its 95 % confidence interval (Student 1908).

    >>> tuple(round(x, 3) for x in student_interval([0.9, 1.0]))
    (0.95, 0.315, 1.585)
    """
    from scipy.stats import t  # here, because importing it takes longer than convlens --help

    mean = fmean(values)
    spread = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / sqrt(len(values))
    return mean, mean - spread, mean + spread


def _accuracy(result: Mapping[str, Any]) -> float:
    """On the test images or, where there are none, the validation images."""
    return float(result["held_out"]["top1"])
