"""The images that belong to a classifier: its run's own data, and what an artifact of it is proved on."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from convlens.artifacts.proof import LEAST_IMAGES, Images
from convlens.artifacts.proof_images import from_dataset, from_photographs
from convlens.data import open_dataset
from convlens.errors import ConvlensError
from convlens.images import Preprocessing

if TYPE_CHECKING:
    from convlens.classifiers.classifier import Classifier
    from convlens.data import Dataset


def own_data(
    classifier: "Classifier", data: str | Path | None = None, note: Callable[[str], None] = lambda _: None
) -> "Dataset | None":
    """Open the data asked for, else those that the classifier was trained on; None if there are none here.

    Raises:
        ConvlensError: the data asked for cannot be opened, or have none of its classes.
    """
    if data is not None:
        dataset = open_dataset(data, classes=classifier.classes)
        for sentence in dataset.notes:
            note(sentence)
        return dataset
    if classifier.provenance.data is None:
        return None
    try:
        return open_dataset(classifier.provenance.data, classes=classifier.classes)
    except ConvlensError as error:
        note(f"the run's own data are not here: {error}")
        return None


def proof_images(preprocessing: Preprocessing, dataset: "Dataset | None") -> tuple[Images, str]:
    """Find the images to prove an artifact on; photographs if there are no data or too few."""
    channels = preprocessing.channels
    if dataset is None:
        chosen = from_photographs(channels, LEAST_IMAGES)
        return chosen.images, chosen.origin
    own = from_dataset(dataset, channels, LEAST_IMAGES)
    lacking = LEAST_IMAGES - len(own.images)
    if lacking <= 0:
        return own.images, own.origin
    more = from_photographs(channels, lacking)
    return (*own.images, *more.images), f"{own.origin} and {more.origin}"
