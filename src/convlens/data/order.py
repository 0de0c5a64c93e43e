"""Which samples an epoch shows, and in which order: a function of seed and epoch alone."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convlens.data.chance import uniforms
from convlens.errors import ConvlensError, unknown_name

Sampling = Literal["shuffled", "balanced"]
SAMPLINGS = ("shuffled", "balanced")

_ORDER = 0x6F72646572  # "order" in ASCII: keeps the shuffling apart from the samples' own numbers


def draws(
    seed: int, epoch: int, labels: NDArray[np.int64], *, sampling: Sampling = "shuffled", repeats: int = 1
) -> NDArray[np.int64]:
    """The draws of an epoch, int64 (N,). Draw d shows sample d % N, for the (d // N)-th time; each is augmented anew.

    Args:
        seed: of the run.
        epoch: from 0.
        labels: class index of every sample, int64 (N,).
        sampling: `"shuffled"` shows each sample once; `"balanced"` shows each class equally often, so samples of small
            classes come several times and some of the large ones wait for another epoch.
        repeats: how many times a sample comes, one after the other (Hoffer et al. 2019); the epoch keeps its length and
            shows so many fewer samples.
    """
    if sampling not in SAMPLINGS:
        raise unknown_name("sampling", sampling, SAMPLINGS)
    if repeats < 1:
        raise ConvlensError(f"repeats={repeats}; use at least 1")
    count = len(labels)
    shown = shuffled(seed, epoch, count) if sampling == "shuffled" else _balanced(seed, epoch, labels)
    if repeats == 1:
        return shown
    chosen = shown[: -(-count // repeats)]
    copies = np.arange(repeats, dtype=np.int64) * count * (count + 1)  # beyond any number that balancing uses
    return (chosen[:, np.newaxis] + copies).reshape(-1)[:count]


def shuffled(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """A permutation of `count` samples, int64 (count,)."""
    return np.argsort(uniforms(seed ^ _ORDER, epoch, np.arange(count), 1)[:, 0], kind="stable").astype(np.int64)


def streamed(seed: int, epoch: int, shards: NDArray[np.int64], *, buffer: int) -> NDArray[np.int64]:
    """A permutation of samples for data that is read shard by shard, int64 (N,): as if a buffer were filled from the
    shards, in an order of their own, and a sample drawn from it for each that comes in.

    It is computed from the numbers alone, so an epoch is exact, and may be entered anywhere without reading the rest.

    Args:
        seed: of the run.
        epoch: from 0.
        shards: the shard of every sample, int64 (N,).
        buffer: samples that it holds.
    """
    count = len(shards)
    present = np.unique(shards)
    rank = np.empty(int(present.max(initial=0)) + 1, np.int64)
    rank[present[shuffled(seed + 2, epoch, len(present))]] = np.arange(len(present))
    incoming = np.lexsort((shuffled(seed, epoch, count), rank[shards]))
    if buffer >= count:
        return shuffled(seed, epoch, count)
    chances = uniforms(seed ^ _ORDER, epoch, np.arange(count), 2)[:, 1]
    held = incoming[:buffer].tolist()
    out = []
    for place, new in enumerate(incoming[buffer:].tolist()):
        drawn = int(chances[place] * buffer)
        out.append(held[drawn])
        held[drawn] = new
    rest = np.array(held, np.int64)[np.argsort(chances[count - buffer :], kind="stable")]
    return np.concatenate([np.array(out, np.int64), rest])


def _balanced(seed: int, epoch: int, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    count = len(labels)
    present = np.unique(labels)
    share = -(-count // len(present))
    chosen = []
    for label in present:
        members = np.flatnonzero(labels == label)
        members = members[np.argsort(uniforms(seed ^ _ORDER, epoch, members, 1)[:, 0], kind="stable")]
        turns = np.arange(share)
        chosen.append(members[turns % len(members)] + count * (turns // len(members)))
    together = np.stack(chosen, axis=1).reshape(-1)[:count]  # class by class in turn, so that the cut is fair
    return together[shuffled(seed + 1, epoch, count)]
