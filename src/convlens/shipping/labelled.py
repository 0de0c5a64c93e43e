"""Labelled images, preprocessed, to calibrate on and to measure accuracy with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from convlens.artifacts.proof_images import spread
from convlens.errors import ConvlensError

if TYPE_CHECKING:
    from convlens.data import Dataset
    from convlens.images import Preprocessing


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Preprocessed images x (N, C, H, W) float32, their class indices y (N,), and where they are from."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    origin: str


def read_labelled(dataset: "Dataset", splits: Sequence[str], preprocessing: "Preprocessing", most: int) -> Labelled:
    """Read up to `most` images of the first split that there is, spread evenly over its classes.

    Raises:
        ConvlensError: the data have none of the splits.
    """
    chosen = next((name for name in splits if dataset.splits.get(name)), None)
    if chosen is None:
        raise ConvlensError(f"{dataset.name} has no images to take; its splits: {', '.join(dataset.splits) or 'none'}")
    records = spread(dataset.records(chosen), most)
    index = {label: i for i, label in enumerate(dataset.classes)}
    at_least = preprocessing.decoding_size()
    images = [dataset.read(record, channels=preprocessing.channels, at_least=at_least) for record in records]
    return Labelled(
        x=np.stack([preprocessing.apply(image) for image in images]),
        y=np.array([index[record.label] for record in records], np.int64),
        origin=f"{len(records)} images of {dataset.name}, split {chosen}",
    )
