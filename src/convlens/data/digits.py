"""The embedded source: 1,797 handwritten digits, real images inside scikit-learn's wheel."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from convlens.data.dataset import Record
from convlens.data.listing import Listing

_SPLIT_SEED = 0  # of the split, which is part of what `digits` means and so never changes


class DigitsSource:
    """Reads the digits, 8 × 8 gray, whose 17 levels are spread over 0..255."""

    raw = True

    def read(
        self,
        record: Record,
        *,
        channels: int,
        at_least: tuple[int, int] | None,  # noqa: ARG002 - nothing to scale in 8 × 8 pixels
    ) -> NDArray[np.uint8]:
        """Read one digit, uint8 (8, 8, C)."""
        return np.repeat(_pixels()[record.place[0]][:, :, np.newaxis], channels, axis=2)

    def encoded(self, record: Record) -> bytes | None:  # noqa: ARG002
        """There is no file: the pixels lie there as they are."""
        return None


def list_digits() -> Listing:
    """List the digits with their fixed stratified split: a fifth for test, an eighth of the rest for validation."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    labels = load_digits().target
    indices = np.arange(len(labels))
    rest, test = train_test_split(indices, test_size=0.2, stratify=labels, random_state=_SPLIT_SEED)
    train, val = train_test_split(rest, test_size=0.125, stratify=labels[rest], random_state=_SPLIT_SEED)
    splits = {
        name: tuple(
            Record(key=f"digits/{i:05d}", label=str(labels[i]), place=(int(i),), size_bytes=64) for i in sorted(members)
        )
        for name, members in (("train", train), ("val", val), ("test", test))
    }
    return Listing(name="digits", splits=splits, source=DigitsSource(), channels=1, mirrors=False, location="digits")


@cache
def _pixels() -> NDArray[np.uint8]:
    from sklearn.datasets import load_digits

    return np.asarray(np.rint(load_digits().images * (255 / 16)), dtype=np.uint8)
