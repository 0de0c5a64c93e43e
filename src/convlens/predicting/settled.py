"""Printed answers that do not depend on which other images were in the batch.

A batch takes other paths through the matrix kernels than an image alone, so the same image's probability differs in its
last bits, and once in a while that flips a printed digit. Here an image's answer is *defined* as the one that it gets
alone; a batch is used for speed, and an image whose printed answer could depend on it is run again, alone.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convlens.predicting.finite import check_finite
from convlens.predicting.protocol import Answering
from convlens.predicting.ranking import PRINTED_DIGITS, Guess, rank

Probabilities = NDArray[np.float32]

# The largest difference seen between a batch and an image alone is multiplied by this before it is relied on.
_SAFETY = 4.0
# How many images are run both ways at first.
_COMPARED = 8
# float32 cannot tell probabilities apart that are closer than this share of themselves.
_RESOLUTION = 4 * float(np.finfo(np.float32).eps)
# Above this share of images run again, batches no longer pay.
_TOO_MANY = 0.4
_ENOUGH_TO_JUDGE = 64


class Settled:
    """A predictor whose printed answers are those of each image alone.

    With the first batch of more than eight, eight images are run both ways, to learn how far a batch may differ; every
    image run again adds to that.

    Args:
        predictor: what runs the network.

    Attributes:
        images: how many images were answered from batches.
        again: how many of them were run again, alone.
    """

    def __init__(self, predictor: Answering) -> None:
        self.predictor = predictor
        self.images = 0
        self.again = 0
        self._noise: float | None = None  # largest difference of log-odds between a batch and an image alone

    def guesses(self, x_NCHW: NDArray[np.float32], top: int) -> list[tuple[Guess, ...]]:
        """The `top` likeliest classes of each image (N, C, H, W), best first, as each would be answered alone.

        Raises:
            NotFiniteError: the network answers with NaN.
        """
        rows = self._probabilities(x_NCHW, top)
        if len(rows):
            check_finite(np.stack(rows))
        return [rank(row_K, self.predictor.classes, top) for row_K in rows]

    @property
    def batches_pay(self) -> bool:
        """Whether few enough images have to be run again."""
        return self.images < _ENOUGH_TO_JUDGE or self.again <= _TOO_MANY * self.images

    def _probabilities(self, x_NCHW: NDArray[np.float32], top: int) -> Sequence[Probabilities]:
        few = _COMPARED if self._noise is None else 1
        if len(x_NCHW) <= few or not self.batches_pay:
            return [self._alone(image) for image in x_NCHW]
        if self._noise is None:
            return [*self._compare(x_NCHW[:_COMPARED]), *self._probabilities(x_NCHW[_COMPARED:], top)]
        rows = list(self.predictor.probabilities(x_NCHW))
        for number, batched_K in enumerate(rows):
            if self._is_doubtful(batched_K, top):
                rows[number] = self._alone(x_NCHW[number])
                self._learn(batched_K, rows[number])
                self.again += 1
        self.images += len(rows)
        return rows

    def _compare(self, x_NCHW: NDArray[np.float32]) -> list[Probabilities]:
        """Run images both ways, learn from the difference, and answer as alone."""
        alone = [self._alone(image) for image in x_NCHW]
        for batched_K, alone_K in zip(self.predictor.probabilities(x_NCHW), alone, strict=True):
            self._learn(batched_K, alone_K)
        return alone

    def _alone(self, x_CHW: NDArray[np.float32]) -> Probabilities:
        row: Probabilities = self.predictor.probabilities(x_CHW[np.newaxis])[0]
        return row

    def _learn(self, batched_K: Probabilities, alone_K: Probabilities) -> None:
        """Softmax turns a difference d of scores into one of d·p·(1 − p), so that ratio carries over to others."""
        p = alone_K.astype(np.float64)
        telling = (p > 1e-5) & (p < 0.9)
        differences = np.abs(batched_K.astype(np.float64) - p)[telling] / (p * (1 - p))[telling]
        self._noise = max(self._noise or 0.0, float(differences.max(initial=0.0)))

    def _is_doubtful(self, row_K: Probabilities, top: int) -> bool:
        p = row_K.astype(np.float64)
        margin = _SAFETY * ((self._noise or 0.0) * p * (1 - p)) + _RESOLUTION * p
        scaled = p * 10**PRINTED_DIGITS
        if np.any(np.abs(scaled - np.floor(scaled) - 0.5) < margin * 10**PRINTED_DIGITS):
            return True
        best = np.argsort(-p, kind="stable")[: top + 1]
        return bool(np.any(p[best[:-1]] - p[best[1:]] < margin[best[:-1]] + margin[best[1:]]))
