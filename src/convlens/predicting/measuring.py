"""Timing things against each other, a turn each, so that a machine that speeds up or slows down favours none."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long something took, in milliseconds.

    Args:
        p50: the median.
        p95: what one call in twenty exceeds.
        calls: how many were timed.
        best: the shortest.
    """

    p50: float
    p95: float
    calls: int
    best: float = 0.0


def interleave(
    calls: Mapping[str, Callable[[], object]],
    *,
    seconds: float,
    least: int = 7,
    most: int = 1000,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Time every call in turn, round after round, each round beginning with another one.

    Args:
        calls: name -> what to time.
        seconds: after which no further round begins.
        least: rounds that are made in any case.
        most: rounds at which it ends in any case.
        clock: seconds, rising.

    Returns:
        name -> its timing. The first call of each, which may still allocate, is not counted.
    """
    names = list(calls)
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in names}
    begin, rounds = clock(), 0
    while rounds < least or (rounds < most and clock() - begin < seconds):
        first = rounds % len(names)
        for name in (*names[first:], *names[:first]):
            start = clock()
            calls[name]()
            taken[name].append(clock() - start)
        rounds += 1
    return {name: timing_of(np.array(values)) for name, values in taken.items()}


def timing_of(seconds: NDArray[np.float64]) -> Timing:
    """Sum up how long calls took, in seconds (N,)."""
    p50, p95 = np.percentile(seconds * 1000, [50, 95])
    return Timing(p50=float(p50), p95=float(p95), calls=len(seconds), best=float(seconds.min()) * 1000)
