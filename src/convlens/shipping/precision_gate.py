"""The gate: which precision is fast enough to be worth what accuracy it costs, measured here, on the user's images."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.errors import ConvlensError
from convlens.predicting.engines import Engine, Precision
from convlens.predicting.measuring import Timing
from convlens.shipping.labelled import Labelled

# A precision has to be this much faster than float32, since timing on a busy machine wanders by a few percent.
_WORTHWHILE = 1.03


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One precision of a network, measured.

    Args:
        precision: of the arithmetic.
        milliseconds: median of a batch.
        accuracy: top-1 as a fraction.
        drop: by how much that is below float32's, in points; negative if it is above.
        drop_low: lower end of its 95 % interval.
        drop_high: upper end.
        verdict: `"chosen"`, or why not.
    """

    precision: Precision
    milliseconds: float
    accuracy: float
    drop: float
    drop_low: float
    drop_high: float
    verdict: str = ""

    def __str__(self) -> str:
        interval = f"{self.drop_low:+.2f} to {self.drop_high:+.2f}"
        return (
            f"{self.precision}: {self.milliseconds:.2f} ms, accuracy {self.accuracy:.2%}, "
            f"loses {self.drop:.2f} points (95 % interval {interval}): {self.verdict}"
        )


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen among which candidates, and what they were measured on.

    Args:
        precision: the chosen one.
        candidates: all that were measured.
        refused: precisions that could not even be made here, with the reason.
        images: what accuracy was measured on.
        batch: images in a timed call.
        threads: used by it.
        max_drop: accuracy that may be lost, in points.
    """

    precision: Precision
    candidates: tuple[Candidate, ...]
    refused: Mapping[str, str] = field(default_factory=dict)
    images: str
    batch: int
    threads: int
    max_drop: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they are kept in the artifact."""
        return asdict(self)

    def lines(self) -> list[str]:
        """One sentence a candidate."""
        return [*map(str, self.candidates), *(f"{name}: rejected: {why}" for name, why in self.refused.items())]


def choose(
    engines: Mapping[Precision, Engine],
    timings: Mapping[Precision, Timing],
    images: Labelled,
    *,
    max_drop: float,
    batch: int,
    threads: int,
    refused: Mapping[str, str] | None = None,
) -> Choice:
    """Measure the accuracy of every precision and take the fastest whose accuracy holds; float32 if none is both.

    Args:
        engines: one a precision, float32 among them.
        timings: of a batch, one a precision.
        images: to measure accuracy on.
        max_drop: accuracy that may be lost against float32, in points.
        batch: images in a timed call.
        threads: that the engines use, for the record.
        refused: precisions that could not be made or timed, with the reason.
    """
    right = {name: right_answers(engine, images) for name, engine in engines.items()}
    base = right["float32"]
    measured = [_candidate(name, timings[name].p50, right[name], base) for name in engines]
    slowest_allowed = timings["float32"].p50 / _WORTHWHILE
    fit = [
        c.precision
        for c in measured
        if c.precision == "float32" or (c.drop <= max_drop and c.milliseconds <= slowest_allowed)
    ]
    chosen = min(fit, key=lambda name: timings[name].p50)
    judged = tuple(_judge(c, chosen, timings, max_drop) for c in measured)
    return Choice(
        precision=chosen,
        candidates=judged,
        refused=dict(refused or {}),
        images=images.origin,
        batch=batch,
        threads=threads,
        max_drop=max_drop,
    )


def right_answers(engine: Engine, images: Labelled, batch: int = 32) -> NDArray[np.bool_]:
    """Whether the likeliest class of each image is the right one."""
    x, y = images.x, images.y
    found = [engine(x[i : i + batch]).argmax(axis=1) == y[i : i + batch] for i in range(0, len(y), batch)]
    return np.concatenate(found)


def drop_interval(right: NDArray[np.bool_], base: NDArray[np.bool_]) -> tuple[float, float, float]:
    """The loss of accuracy on the same images, in points, with its 95 % interval.

    Agresti and Min (2005), Simple improved confidence intervals for comparing matched proportions: the Wald interval of
    the paired difference after adding half an image to each of the four outcomes.

    >>> drop_interval(np.ones(100, bool), np.ones(100, bool))[0]
    0.0
    """
    count = len(base)
    lost, won = int((base & ~right).sum()), int((right & ~base).sum())
    b, c, n = lost + 0.5, won + 0.5, count + 2
    centre = (b - c) / n
    width = 1.96 * float(np.sqrt((b + c) - (b - c) ** 2 / n)) / n
    return 100 * (lost - won) / count, 100 * (centre - width), 100 * (centre + width)


def check_max_drop(max_drop: float) -> None:
    """Stop unless the bound makes sense.

    Raises:
        ConvlensError: it is negative or above 100.
    """
    if not 0 <= max_drop <= 100:
        raise ConvlensError(f"max_drop is {max_drop} points; use 0 to 100, such as 0.5")


def _candidate(
    precision: Precision, milliseconds: float, right: NDArray[np.bool_], base: NDArray[np.bool_]
) -> Candidate:
    drop, low, high = drop_interval(right, base)
    return Candidate(
        precision=precision,
        milliseconds=milliseconds,
        accuracy=float(right.mean()),
        drop=drop,
        drop_low=low,
        drop_high=high,
    )


def _judge(candidate: Candidate, chosen: Precision, timings: Mapping[Precision, Timing], max_drop: float) -> Candidate:
    base = timings["float32"].p50
    if candidate.precision == chosen:
        verdict = "chosen"
    elif candidate.drop > max_drop:
        verdict = f"rejected: loses more than {max_drop:g} points"
    elif candidate.precision != "float32" and candidate.milliseconds * _WORTHWHILE > base:
        verdict = f"rejected: not faster here than float32 ({base:.2f} ms)"
    else:
        verdict = f"rejected: slower than {chosen} ({timings[chosen].p50:.2f} ms)"
    return replace(candidate, verdict=verdict)
