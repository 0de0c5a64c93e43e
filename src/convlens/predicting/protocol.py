"""What everything that uses a trained network needs of it, whatever computes it."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from convlens.images import Preprocessing


class Answering(Protocol):
    """Anything that turns preprocessed images into probabilities of named classes."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the columns of `probabilities`."""
        ...

    @property
    def preprocessing(self) -> Preprocessing:
        """From an image to what `probabilities` takes."""
        ...

    def probabilities(self, x_NCHW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (N, K) of preprocessed images (N, C, H, W); each row sums to 1."""
        ...
