"""Where decoded images are kept between epochs: in memory, on disk, or nowhere."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from convlens.data.dataset import Dataset, Record
from convlens.data.store import entry_key
from convlens.data.store_folders import LockedStore
from convlens.errors import unknown_name

Cache = Literal["auto", "memory", "disk", "none"]
CACHES = ("auto", "memory", "disk", "none")
MEMORY_BYTES = 2_000_000_000


class Keeper(Protocol):
    """Decoded images by the position of their record."""

    def get(self, index: int) -> NDArray[np.uint8] | None:
        """The kept image, uint8 (H, W, C), or None."""
        ...

    def put(self, index: int, image_HWC: NDArray[np.uint8]) -> None:
        """Keep an image if there is room."""
        ...


class Nowhere:
    """Keeps nothing."""

    def get(self, index: int) -> NDArray[np.uint8] | None:  # noqa: ARG002
        """Nothing is there."""
        return None

    def put(self, index: int, image_HWC: NDArray[np.uint8]) -> None:
        """Let go of the image."""


class InMemory:
    """Keeps images in memory until their bytes are used up."""

    def __init__(self, max_bytes: int = MEMORY_BYTES) -> None:
        self._images: dict[int, NDArray[np.uint8]] = {}
        self._room = max_bytes

    def get(self, index: int) -> NDArray[np.uint8] | None:
        """The kept image, or None."""
        return self._images.get(index)

    def put(self, index: int, image_HWC: NDArray[np.uint8]) -> None:
        """Keep an image if there is room."""
        if image_HWC.nbytes <= self._room and index not in self._images:
            self._room -= image_HWC.nbytes
            self._images[index] = image_HWC


class OnDisk:
    """Keeps images in a store that later runs and other processes find again."""

    def __init__(self, records: Sequence[Record], settings: dict[str, Any], max_bytes: int | None = None) -> None:
        self.store = LockedStore(settings, max_bytes=max_bytes)
        self._records = records
        self._keys: dict[int, bytes] = {}

    def get(self, index: int) -> NDArray[np.uint8] | None:
        """The image as it was decoded from the file that is there now, or None."""
        return self.store.get(self._key(index))

    def put(self, index: int, image_HWC: NDArray[np.uint8]) -> None:
        """Add the image to the store if there is room."""
        self.store.put(self._key(index), image_HWC)

    def _key(self, index: int) -> bytes:
        key = self._keys.get(index)
        if key is None:
            key = self._keys[index] = entry_key(self._records[index])
        return key


def keeper_for(
    cache: Cache, dataset: Dataset, records: Sequence[Record], settings: dict[str, Any], max_bytes: int | None = None
) -> Keeper:
    """Choose where to keep: `"auto"` takes memory for plain pixels and disk for files that must be decoded."""
    if cache not in CACHES:
        raise unknown_name("cache", cache, CACHES)
    if cache == "none":
        return Nowhere()
    if cache == "memory" or (cache == "auto" and dataset.source.raw):
        return InMemory()
    try:
        return OnDisk(records, {"location": dataset.location, **settings}, max_bytes)
    except OSError:  # a home that cannot be written to is no reason not to train
        if cache == "disk":
            raise
        return InMemory()
