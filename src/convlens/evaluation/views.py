"""Test-time augmentation: the mean answer over several views of each image."""

import numpy as np
from numpy.typing import NDArray

from convlens.images import Preprocessing
from convlens.predicting.protocol import Answering

SHIFT = 1 / 16  # of the side, up, down, left and right


class Averaged:
    """A predictor that looks at every image several times: as it is, a little shifted, mirrored where that is allowed.

    Args:
        predictor: what runs the network.
        mirrors: whether a mirror image shows the same class.

    The answer is the mean of the views' probabilities (Krizhevsky et al. 2012, section 4.1).
    """

    def __init__(self, predictor: Answering, *, mirrors: bool) -> None:
        self.predictor, self.mirrors = predictor, mirrors
        self.classes: tuple[str, ...] = predictor.classes
        self.preprocessing: Preprocessing = predictor.preprocessing

    def probabilities(self, x_NCHW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities, float32 (N, K)."""
        answers = [self.predictor.probabilities(view) for view in views(x_NCHW, mirrors=self.mirrors)]
        return np.asarray(np.mean(answers, axis=0), np.float32)


def views(x_NCHW: NDArray[np.float32], *, mirrors: bool) -> list[NDArray[np.float32]]:
    """Five views of each image, or ten with the mirrored ones; what a shift brings in repeats the border."""
    height, width = x_NCHW.shape[2:]
    down, right = max(1, round(SHIFT * height)), max(1, round(SHIFT * width))
    seen = [shifted(x_NCHW, y, x) for y, x in ((0, 0), (down, 0), (-down, 0), (0, right), (0, -right))]
    return seen + [np.ascontiguousarray(view[..., ::-1]) for view in seen] if mirrors else seen


def shifted(x_NCHW: NDArray[np.float32], down: int, right: int) -> NDArray[np.float32]:
    """Shift every image, the border repeated."""
    rows = (np.arange(x_NCHW.shape[2]) - down).clip(0, x_NCHW.shape[2] - 1)
    columns = (np.arange(x_NCHW.shape[3]) - right).clip(0, x_NCHW.shape[3] - 1)
    return np.ascontiguousarray(x_NCHW[:, :, rows[:, None], columns])
