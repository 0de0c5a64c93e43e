"""From measured layers to the time of any other of their family: a regression beside the roofline.

What is regressed is the logarithm of how many times longer a layer takes than the roofline allows (Williams, Waterman
and Patterson, 2009), by a Gaussian process with a Matérn 5/2 kernel (Rasmussen and Williams, 2006, section 4.2.1) on
logarithms of sizes. Its length scale and noise are those that predict left-out rows of layers best. It needs NumPy
alone once it is fitted.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import log, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.calibrating.workload import Work

Float = NDArray[np.float64]

_LENGTHS = (3.0, 6.0, 12.0, 24.0)
_NOISES = (0.003, 0.01, 0.03)
_MOST = 700  # layers that a family's regression keeps
_CALL_MS = 0.005  # what a call takes beside its arithmetic, added to the roof so that it is not zero
_VECTOR = 16  # floats; channels are padded to it


@dataclass(frozen=True, kw_only=True)
class Roof:
    """What no layer was seen to exceed.

    Args:
        macs: multiply-adds a millisecond.
        nbytes: bytes a millisecond.
    """

    macs: float
    nbytes: float

    def milliseconds(self, work: Work) -> float:
        """The least that a layer takes."""
        return max(work.macs / self.macs, work.nbytes / self.nbytes)


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Relative errors of layers that a regression had not seen: median and 90th percentile."""

    layers: int
    median: float
    p90: float


class Regression:
    """The regression of one family.

    Args:
        kinds: of the layers that it was fitted on; of others it knows nothing.
        means, spreads: of the features (F,).
        points: standardised features of the layers that it keeps (N, F).
        weights: of the layers (N,).
        mean: of the logarithms.
        length: scale of the kernel.
        left_out: how it did on layers that it had not seen.
    """

    def __init__(
        self,
        *,
        kinds: Sequence[str],
        means: Float,
        spreads: Float,
        points: Float,
        weights: Float,
        mean: float,
        length: float,
        left_out: LeftOut,
    ) -> None:
        self.kinds = tuple(kinds)
        self.means, self.spreads = np.asarray(means, float), np.asarray(spreads, float)
        self.points, self.weights = np.asarray(points, float), np.asarray(weights, float)
        self.mean, self.length, self.left_out = mean, length, left_out

    def milliseconds(self, works: Sequence[Work], roof: Roof) -> Float:
        """The time of each layer (N,), never less than the roof allows."""
        floor = np.array([roof.milliseconds(work) for work in works])
        points = (_features(works, self.kinds) - self.means) / self.spreads
        times_longer = np.exp(_kernel(points, self.points, self.length) @ self.weights + self.mean)
        result: Float = np.maximum(floor, (floor + _CALL_MS) * times_longer)
        return result

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        plain = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}
        return plain | {"left_out": asdict(self.left_out)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Regression":
        """From what `to_dict` gave."""
        return cls(**{**content, "left_out": LeftOut(**content["left_out"])})


def fit(works: Sequence[Work], milliseconds: Sequence[float], rows: Sequence[int], roof: Roof) -> Regression:
    """Fit the regression of one family.

    Args:
        works: the layers, all of one family.
        milliseconds: of each.
        rows: which row each was measured in; a quarter of the rows is left out to choose and to judge.
        roof: of the machine.
    """
    chosen = _spread(len(works))
    works, row = [works[i] for i in chosen], np.array(rows)[chosen]
    taken = np.array(milliseconds)[chosen]
    targets = np.log(taken / np.array([roof.milliseconds(work) + _CALL_MS for work in works]))
    kinds = sorted({work.kind for work in works})
    features = _features(works, kinds)
    means, spreads = features.mean(0), features.std(0)
    spreads[spreads < 1e-9] = 1.0
    points = (features - means) / spreads
    left_out = np.isin(row, np.unique(row)[::4])
    if left_out.all() or not left_out.any():
        left_out = np.arange(len(works)) % 4 == 0
    errors, length, noise = _best(points, targets, left_out)
    mean = float(targets.mean())
    return Regression(
        kinds=kinds,
        means=means,
        spreads=spreads,
        points=points,
        weights=_solve(points, targets - mean, length, noise),
        mean=mean,
        length=length,
        left_out=LeftOut(
            layers=int(left_out.sum()), median=float(np.median(errors)), p90=float(np.quantile(errors, 0.9))
        ),
    )


def _best(points: Float, targets: Float, left_out: NDArray[np.bool_]) -> tuple[Float, float, float]:
    """Relative errors on the left-out layers, length scale and noise of what predicts them best."""
    seen, mean = ~left_out, float(targets[~left_out].mean())
    found: tuple[float, Float, float, float] | None = None
    for length in _LENGTHS:
        across = _kernel(points[left_out], points[seen], length)
        for noise in _NOISES:
            weights = _solve(points[seen], targets[seen] - mean, length, noise)
            misses = across @ weights + mean - targets[left_out]
            squared = float((misses**2).mean())
            if found is None or squared < found[0]:
                found = squared, np.abs(np.exp(misses) - 1), length, noise
    assert found is not None
    return found[1], found[2], found[3]


def _spread(count: int) -> NDArray[np.intp]:
    """At most `_MOST` numbers below `count`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, _MOST)).astype(np.intp))


def _solve(points: Float, targets: Float, length: float, noise: float) -> Float:
    matrix = _kernel(points, points, length) + noise * np.eye(len(points))
    return np.asarray(np.linalg.solve(matrix, targets), float)


def _kernel(a: Float, b: Float, length: float) -> Float:
    """Matérn 5/2 between points (N, F) and (M, F): (N, M)."""
    squared = np.asarray((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, float)
    s = np.asarray(np.sqrt(5 * np.maximum(squared, 0)) / length, float)
    result: Float = np.asarray((1 + s + s * s / 3) * np.exp(-s), float)
    return result


def _features(works: Sequence[Work], kinds: Sequence[str]) -> Float:
    return np.array([[*_sizes(work), *(float(work.kind == kind) for kind in kinds)] for work in works])


def _sizes(work: Work) -> tuple[float, ...]:
    """Logarithms of MACs, elements and sides, and what channels leave when they are put into vectors."""
    given, made = work.channels
    counts = (
        work.macs,
        work.read,
        work.written,
        work.weights,
        given,
        made,
        prod(work.after),
        work.after[1],
        prod(work.kernel),
        work.stride[0],
        given // work.groups,
    )
    remainders = (given % _VECTOR / _VECTOR, made % _VECTOR / _VECTOR, float(given % 8 == made % 8 == 0))
    return (*(log(max(count, 1)) for count in counts), *remainders, float(work.in_place))
