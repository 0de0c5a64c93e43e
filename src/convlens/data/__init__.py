"""Sources of labelled images, splits, checks, augmentation, loading."""

from convlens.data.dataset import BadFile as BadFile
from convlens.data.dataset import DataError as DataError
from convlens.data.dataset import Dataset as Dataset
from convlens.data.dataset import ImageSource as ImageSource
from convlens.data.dataset import Record as Record
from convlens.data.opening import open_dataset as open_dataset

__all__ = ["BadFile", "DataError", "Dataset", "ImageSource", "Record", "open_dataset"]
