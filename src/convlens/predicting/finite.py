"""What a broken network answers is no number, and no answer."""

import numpy as np
from numpy.typing import NDArray

from convlens.errors import ConvlensError


class NotFiniteError(ConvlensError):
    """A network that answers with NaN: neither the images nor the command are at fault."""

    exit_code = 1


def check_finite(p_NK: NDArray[np.float32]) -> None:
    """Stop unless every probability is a number.

    Raises:
        NotFiniteError: of how many images the answer is none.
    """
    wrong = int((~np.isfinite(p_NK).all(axis=1)).sum())
    if wrong:
        raise NotFiniteError(
            f"the network gives no numbers (NaN) for {wrong:,} of {len(p_NK):,} images; its weights are damaged, its "
            "training diverged, or its precision does not suffice; train it anew, or export it in float32"
        )
