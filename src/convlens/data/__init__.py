"""Sources of labelled images, splits, checks, augmentation, loading.

The loader needs torch and is imported when it is first used; to open and check data does not wait for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from convlens.data.augmentation import Augmentation as Augmentation
from convlens.data.dataset import BadFile as BadFile
from convlens.data.dataset import DataError as DataError
from convlens.data.dataset import Dataset as Dataset
from convlens.data.dataset import ImageSource as ImageSource
from convlens.data.dataset import Record as Record
from convlens.data.opening import open_dataset as open_dataset

if TYPE_CHECKING:
    from convlens.data.loader import Batch as Batch
    from convlens.data.loader import Loader as Loader

_LATE = {"Batch": "convlens.data.loader", "Loader": "convlens.data.loader"}

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


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module 'convlens.data' has no attribute {name!r}")
