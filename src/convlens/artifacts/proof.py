"""The proof that an artifact answers as the network does, before it is written."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convlens.errors import ConvlensError
from convlens.predicting.engines import Precision
from convlens.predicting.protocol import Answering
from convlens.predicting.tensor_names import INPUT, OUTPUT

if TYPE_CHECKING:
    from convlens.artifacts.probes import Probe
    from convlens.images import Preprocessing

BATCHES = (1, 3, 16)
LEAST_IMAGES = 64

# Largest difference of a probability that rounding in this precision explains. int8 is judged by its accuracy instead.
TOLERANCES: Mapping[Precision, float] = {"float32": 1e-4, "bfloat16": 0.1, "int8": 1.0}
# Largest difference of a score, as a share of the range of the scores. An untrained network gives every class nearly
# the same probability, which hides what scores show.
SCORE_TOLERANCES: Mapping[Precision, float] = {"float32": 1e-3, "bfloat16": 0.2, "int8": float("inf")}
# A resize inside the graph rounds after each of its two passes, and Pillow picks the order of its passes by the shape
# of the image. Measured on crops of photographs: one level of 256 with bilinear, three at single pixels with bicubic.
_LEVELS = 4.01
_INSIDE_TOLERANCE = 0.02  # what such a pixel may do to a probability

Images = Sequence[NDArray[np.uint8]]
Float = NDArray[np.float32]


class ProofError(ConvlensError):
    """An artifact that does not answer as the network does; nothing was written."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """How far an artifact's answers are from the network's, on the same images.

    Args:
        images: how many.
        images_from: which.
        batches: sizes of the batches in which each image was tried.
        runtime: what ran the artifact.
        largest_difference: of any probability.
        tolerance: for it.
        score_difference: of any score, as a share of the range of the scores.
        score_tolerance: for it.
        agreement: share of the images with the same likeliest class.
        contradictions: images with another likeliest class although the network's lead is beyond the tolerance.
        pixel_levels: largest difference of a pixel, in levels of 256, when the graph preprocesses; None if it does not.
        inside_difference: largest difference of any probability when the graph preprocesses.
    """

    images: int
    images_from: str
    batches: tuple[int, ...]
    runtime: str
    largest_difference: float
    tolerance: float
    score_difference: float
    score_tolerance: float
    agreement: float
    contradictions: int
    pixel_levels: float | None = None
    inside_difference: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the artifact may be written."""
        close = self.largest_difference <= self.tolerance and self.score_difference <= self.score_tolerance
        return bool(close and self.contradictions == 0)

    @property
    def holds_inside(self) -> bool:
        """Whether the preprocessing inside gives the same pixels, up to rounding."""
        if self.pixel_levels is None or self.inside_difference is None:
            return False
        return self.pixel_levels <= _LEVELS and self.inside_difference <= max(self.tolerance, _INSIDE_TOLERANCE)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they are kept in the artifact."""
        return asdict(self) | {"batches": list(self.batches)}


def compare(candidate: Answering, x_NCHW: Float, expected_NK: Float, precision: Precision) -> dict[str, Any]:
    """Run preprocessed images through the candidate, in every size of batch; fields of a `Proof`."""
    tolerance = TOLERANCES[precision]
    lead = _lead(expected_NK)
    largest, scores, agreement, contradictions = 0.0, 0.0, 1.0, 0
    for batch in BATCHES:
        found = in_batches(candidate, x_NCHW, batch)
        if found.shape != expected_NK.shape or not np.isfinite(found).all():
            largest, scores, agreement, contradictions = float("inf"), float("inf"), 0.0, len(expected_NK)
            break
        same = found.argmax(axis=1) == expected_NK.argmax(axis=1)
        largest = max(largest, float(np.abs(found - expected_NK).max()))
        scores = max(scores, _score_difference(found, expected_NK))
        agreement = min(agreement, float(same.mean()))
        contradictions = max(contradictions, int((~same & (lead > 2 * tolerance)).sum()))
    return {
        "largest_difference": largest,
        "tolerance": tolerance,
        "score_difference": scores,
        "score_tolerance": SCORE_TOLERANCES[precision],
        "agreement": agreement,
        "contradictions": contradictions,
    }


def compare_inside(
    probe: "Probe", images: Images, x_NCHW: Float, expected_NK: Float, preprocessing: "Preprocessing"
) -> dict[str, Any]:
    """Run decoded images through the whole graph, in batches of one size; fields of a `Proof`."""
    levels, difference = 0.0, 0.0
    scale = 255 * np.array(preprocessing.std, np.float32).reshape(1, -1, 1, 1)
    for chosen in _of_one_size(images):
        found = probe(np.stack([images[i] for i in chosen]))
        levels = max(levels, float((np.abs(found[INPUT] - x_NCHW[chosen]) * scale).max()))
        difference = max(difference, float(np.abs(found[OUTPUT] - expected_NK[chosen]).max()))
    return {"pixel_levels": round(levels, 3), "inside_difference": difference}


def in_batches(predictor: Answering, x_NCHW: Float, batch: int) -> Float:
    """Probabilities (N, K), computed `batch` images at a time."""
    return np.concatenate([predictor.probabilities(x_NCHW[i : i + batch]) for i in range(0, len(x_NCHW), batch)])


def _lead(p_NK: Float) -> Float:
    """By how much the likeliest class leads."""
    best = np.sort(p_NK, axis=1)
    return best[:, -1] - best[:, -2] if p_NK.shape[1] > 1 else np.ones(len(p_NK), np.float32)


def _score_difference(found_NK: Float, expected_NK: Float) -> float:
    found, expected = (np.log(np.maximum(p, 1e-30, dtype=np.float64)) for p in (found_NK, expected_NK))
    return float(np.abs(found - expected).max() / max(expected.max() - expected.min(), 1e-3))


def _of_one_size(images: Images) -> list[list[int]]:
    """Indices of images that have the same size, no more together than the largest batch."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        by_shape.setdefault(image.shape, []).append(index)
    most = max(BATCHES)
    return [group[i : i + most] for group in by_shape.values() for i in range(0, len(group), most)]
