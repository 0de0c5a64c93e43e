"""Before the first request: run the network, learn how batches differ, and measure which size of batch pays."""

import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from convlens.predicting.settled import Settled

LARGEST = 32
_SECONDS = 10.0  # larger batches are not tried after this
_REPEATS = 5
_GAIN = 0.95  # a larger batch must take at most this share of the time an image takes in a smaller one


def warm(settled: Settled, batch: int | None = None) -> int:
    """Run noise through the network until it is warm.

    Args:
        settled: the network.
        batch: most images in one pass; None measures sizes up to 32 and takes the largest that still gains.

    Returns:
        The most images in one pass.
    """
    began = time.perf_counter()
    settled.guesses(_noise(settled, 16), 1)
    if batch is not None:
        settled.guesses(_noise(settled, batch), 1)
        return batch
    best, best_seconds = 1, _seconds_an_image(settled, 1)
    for size in _doublings(LARGEST):
        if not settled.batches_pay or time.perf_counter() - began > _SECONDS:
            break
        seconds = _seconds_an_image(settled, size)
        if seconds < _GAIN * best_seconds:
            best, best_seconds = size, seconds
    return best


def _seconds_an_image(settled: Settled, size: int) -> float:
    images = _noise(settled, size)
    settled.guesses(images, 1)
    times = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        settled.guesses(images, 1)
        times.append(time.perf_counter() - began)
    return min(times) / size  # what else runs on the machine only ever adds


def _noise(settled: Settled, count: int) -> NDArray[np.float32]:
    preprocessing = settled.predictor.preprocessing
    shape = (count, *preprocessing.size, preprocessing.channels)
    pixels = np.random.default_rng(count).integers(0, 256, shape, np.uint8)
    return preprocessing.normalize(pixels)


def _doublings(largest: int) -> Iterator[int]:
    size = 2
    while size <= largest:
        yield size
        size *= 2
