"""From a row of probabilities to the classes that are printed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# A probability is given to four digits: further ones change with the batch and the processor, as `settled` explains.
PRINTED_DIGITS = 4


@dataclass(frozen=True)
class Guess:
    """A class and how likely it is."""

    label: str
    probability: float


def rank(probabilities_K: NDArray[np.float32], classes: Sequence[str], top: int) -> tuple[Guess, ...]:
    """The `top` likeliest classes, best first; ties keep the order of the classes."""
    order = np.argsort(-probabilities_K, kind="stable")[:top]
    return tuple(Guess(classes[i], round(float(probabilities_K[i]), PRINTED_DIGITS)) for i in order)
