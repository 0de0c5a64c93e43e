"""How good predictions are. `p_NK`: probabilities of N images for K classes; `y_N`: the true class indices."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float32] | NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ClassMetrics:
    """Precision, recall and F1 of one class; `images` is how many images of it were seen.

    Precision is unknown (None) where the class was never predicted, recall where no image of it was seen.
    """

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    images: int


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Confidence against accuracy, in bins of equal width: edges, and per bin images, mean confidence and accuracy."""

    edges: tuple[float, ...]
    images: tuple[int, ...]
    confidence: tuple[float | None, ...]
    accuracy: tuple[float | None, ...]

    @property
    def calibration_error(self) -> float:
        """Mean gap between confidence and accuracy, over images (expected calibration error, Naeini et al. 2015)."""
        total = sum(self.images)
        pairs = zip(self.images, self.confidence, self.accuracy, strict=True)
        return sum(n * abs(c - a) for n, c, a in pairs if c is not None and a is not None) / total


def top_k_accuracy(p_NK: Probabilities, y_N: Indices, k: int) -> float:
    """The fraction of images whose class is among the `k` likeliest; ties go to the class that comes first.

    >>> top_k_accuracy(np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]), np.array([1, 2]), 2)
    0.5
    """
    order = np.argsort(-p_NK, axis=1, kind="stable")[:, :k]
    return float((order == y_N[:, None]).any(axis=1).mean())


def wilson_interval(right: int, images: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % confidence interval of an accuracy of `right` out of `images` (Wilson 1927).

    Unlike the normal approximation it stays inside 0..1 and is honest near both ends.

    >>> tuple(round(x, 3) for x in wilson_interval(360, 360))
    (0.989, 1.0)
    """
    rate = right / images
    spread = z * sqrt(rate * (1 - rate) / images + z**2 / (4 * images**2))
    middle = rate + z**2 / (2 * images)
    scale = 1 + z**2 / images
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def log_loss(p_NK: Probabilities, y_N: Indices) -> float:
    """Mean of -log p(true class), natural logarithm; a probability of 0 counts as the smallest float32."""
    of_truth = p_NK[np.arange(len(y_N)), y_N].astype(np.float64)
    return float(-np.log(np.maximum(of_truth, np.finfo(np.float32).tiny)).mean())


def confusion_matrix(predicted_N: Indices, y_N: Indices, classes: int) -> NDArray[np.int64]:
    """Count images by true class (rows) and predicted class (columns)."""
    counts = np.bincount(y_N * classes + predicted_N, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def class_metrics(confusion: NDArray[np.int64], labels: Sequence[str]) -> tuple[ClassMetrics, ...]:
    """Precision, recall and F1 of every class, from the confusion matrix."""
    hits = np.diag(confusion)
    seen = confusion.sum(axis=1)
    said = confusion.sum(axis=0)
    return tuple(
        ClassMetrics(
            label=label,
            precision=_ratio(hits[i], said[i]),
            recall=_ratio(hits[i], seen[i]),
            f1=_ratio(2 * hits[i], seen[i] + said[i]),
            images=int(seen[i]),
        )
        for i, label in enumerate(labels)
    )


def macro_f1(per_class: Sequence[ClassMetrics]) -> float:
    """The mean F1 of the classes that were seen or predicted; a class that is neither says nothing."""
    known = [row.f1 for row in per_class if row.f1 is not None]
    return float(np.mean(known))


def reliability(p_NK: Probabilities, y_N: Indices, bins: int = 15) -> Reliability:
    """Compare how sure the network was with how often it was right."""
    confidence = p_NK.max(axis=1).astype(np.float64)
    right = p_NK.argmax(axis=1) == y_N
    where = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    images = np.bincount(where, minlength=bins)
    sums = np.bincount(where, weights=confidence, minlength=bins)
    hits = np.bincount(where, weights=right, minlength=bins)
    return Reliability(
        edges=tuple(np.linspace(0, 1, bins + 1).tolist()),
        images=tuple(images.tolist()),
        confidence=tuple(_ratio(total, n) for total, n in zip(sums, images, strict=True)),
        accuracy=tuple(_ratio(total, n) for total, n in zip(hits, images, strict=True)),
    )


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
