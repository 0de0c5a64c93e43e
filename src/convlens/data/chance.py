"""Randomness as a pure function: the same numbers for the same seed, epoch and sample, on any machine, in any order.

A generator with a state would make a sample's crop depend on what was loaded before it, and so on the number of
workers and on where a run was cut. Here every number is the hash of its coordinates (the finalizer of SplitMix64;
Steele, Lea and Flood 2014, figure 19), computed for a whole batch at once.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniforms(seed: int, epoch: int, indices: ArrayLike, count: int) -> NDArray[np.float64]:
    """Numbers in 0..1 for each sample, float64 (N, count); a row depends on seed, epoch and its own index only.

    >>> np.array_equal(uniforms(0, 3, [7, 9], 4)[1], uniforms(0, 3, [9], 4)[0])
    True
    """
    index = np.asarray(indices, np.uint64)
    rows = _mix(_mix(_mix(np.uint64(seed % 2**64)) ^ np.uint64(epoch % 2**64)) ^ index)
    cells = _mix(rows[:, np.newaxis] + np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN)
    return (cells >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(value: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is what is meant
        value = np.asarray(value, np.uint64) + _GOLDEN
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(value ^ (value >> np.uint64(31)), np.uint64)
