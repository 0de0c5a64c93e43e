"""Sources of labelled images, splits, checks, augmentation, loading."""

from convlens.data.augmentation import Augmentation as Augmentation
from convlens.data.dataset import BadFile as BadFile
from convlens.data.dataset import DataError as DataError
from convlens.data.dataset import Dataset as Dataset
from convlens.data.dataset import ImageSource as ImageSource
from convlens.data.dataset import Record as Record
from convlens.data.loader import Batch as Batch
from convlens.data.loader import Loader as Loader
from convlens.data.opening import open_dataset as open_dataset

__all__ = [
    "Augmentation",
    "BadFile",
    "Batch",
    "DataError",
    "Dataset",
    "ImageSource",
    "Loader",
    "Record",
    "open_dataset",
]
