"""Batches for training and evaluation, the same ones whatever was cut short or ran beside."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from convlens.data.augmentation import RANDOM_NUMBERS, Augmentation, crop_box, shift_and_flip
from convlens.data.chance import shuffled, uniforms
from convlens.data.dataset import DataError, Dataset, Record
from convlens.images import Preprocessing

_KEPT_BYTES = 1_000_000_000  # decoded images that are kept in memory
_CROPPING_MARGIN = 1.25  # how much larger than the network's size an image is kept for random crops


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One step's images and labels, on the device that was asked for.

    Args:
        step: the position in the epoch, from 0.
        images: float32 (N, C, H, W), normalised, channels last in memory.
        labels: class indices, int64 (N,).
        indices: of the records in their split, int64 (N,), on the CPU.
    """

    step: int
    images: Tensor
    labels: Tensor
    indices: Tensor


class Loader:
    """Iterates over a split, epoch by epoch.

    With an augmentation it is for training: shuffled, and the last batch is left out when it is not full. Without
    one it is for evaluation: in the order of the records, complete, and only the preprocessing happens to an image.

    What an epoch yields is a function of `seed` and the epoch alone, and each sample's augmentation of seed, epoch
    and the sample's index; so an epoch can be entered at any step, with any number of workers.

    Args:
        dataset: where the records are.
        split: `"train"`, `"val"`, `"test"` or `"all"`.
        preprocessing: what happens to every image; gives size and channels.
        batch_size: images a step.
        augmentation: random changes for training, or None for evaluation.
        seed: of order and augmentation.
        workers: threads that decode; 0 decodes in the calling thread, None takes the processors that are there.

    Raises:
        DataError: a batch larger than the training data.

    >>> from convlens.data import open_dataset
    >>> gray = Preprocessing(size=(8, 8), mean=(0.5,), std=(0.5,), channels=1)
    >>> digits = open_dataset("digits")
    >>> loader = Loader(digits, "train", gray, batch_size=64, augmentation=Augmentation.usual_for(digits, (8, 8)))
    >>> batch = next(loader.epoch(0, start_step=3))
    >>> batch.step, tuple(batch.images.shape), loader.steps
    (3, (64, 1, 8, 8), 19)
    """

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        preprocessing: Preprocessing,
        *,
        batch_size: int,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        workers: int | None = None,
    ) -> None:
        self.dataset, self.preprocessing, self.augmentation = dataset, preprocessing, augmentation
        self.records: Sequence[Record] = dataset.records(split)
        self.batch_size, self.seed, self.workers = batch_size, seed, workers
        if batch_size < 1:
            raise DataError(f"batch size {batch_size}; use at least 1")
        if augmentation is not None and batch_size > len(self.records):
            raise DataError(
                f"batch size {batch_size} is larger than the {len(self.records)} images of {split}; "
                f"use at most {len(self.records)}"
            )
        self._labels = torch.from_numpy(dataset.labels(split))
        self._kept: dict[int, NDArray[np.uint8]] = {}
        self._kept_bytes = 0

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        full, rest = divmod(len(self.records), self.batch_size)
        return full if self.augmentation is not None or not rest else full + 1

    def epoch(self, epoch: int, *, start_step: int = 0, device: str | torch.device = "cpu") -> Iterator[Batch]:
        """Yield the batches of an epoch from `start_step` on."""
        count = len(self.records)
        order = np.arange(count) if self.augmentation is None else shuffled(self.seed, epoch, count)
        batches = [order[step * self.batch_size :][: self.batch_size] for step in range(self.steps)]
        workers = (torch.get_num_threads() if self.workers is None else self.workers) or 1
        with ThreadPoolExecutor(workers, thread_name_prefix="convlens-decode") as pool:
            for step in range(start_step, self.steps):
                yield self._batch(step, batches[step], epoch, pool, torch.device(device))

    def _batch(
        self, step: int, indices: NDArray[np.int64], epoch: int, pool: ThreadPoolExecutor, device: torch.device
    ) -> Batch:
        chances = uniforms(self.seed, epoch, indices, RANDOM_NUMBERS)
        pixels = torch.from_numpy(np.stack(list(pool.map(self._fitted, indices.tolist(), chances)))).to(device)
        if self.augmentation is not None:
            pixels = shift_and_flip(pixels, self.augmentation, chances)
        chosen = torch.from_numpy(indices)
        images = normalize(pixels, self.preprocessing)
        return Batch(step=step, images=images, labels=self._labels[chosen].to(device), indices=chosen)

    def _fitted(self, index: int, chances: NDArray[np.float64]) -> NDArray[np.uint8]:
        """One image at the network's size, uint8 (H, W, C), randomly cropped where the augmentation says so."""
        image = self._image(index)
        if self.augmentation is None or self.augmentation.crop_scale is None:
            return image
        height, width = self.preprocessing.size
        box = crop_box(image.shape[0], image.shape[1], self.augmentation, chances)
        picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
        cropped = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR, box=box))
        return cropped[:, :, np.newaxis] if cropped.ndim == 2 else cropped

    def _image(self, index: int) -> NDArray[np.uint8]:
        """The decoded image, which is kept as long as there is room."""
        if index in self._kept:
            return self._kept[index]
        image = self._decoded(self.records[index])
        if self._kept_bytes + image.nbytes <= _KEPT_BYTES:
            self._kept[index] = image
            self._kept_bytes += image.nbytes
        return image

    def _decoded(self, record: Record) -> NDArray[np.uint8]:
        if self.augmentation is None or self.augmentation.crop_scale is None:
            at_least = self.preprocessing.decoding_size()
            image = self.dataset.read(record, channels=self.preprocessing.channels, at_least=at_least)
            return self.preprocessing.fit(image)
        side = round(max(self.preprocessing.size) * _CROPPING_MARGIN)
        image = self.dataset.read(record, channels=self.preprocessing.channels, at_least=(side, side))
        return _with_shorter_side(image, side)


def normalize(pixels_NHWC: Tensor, preprocessing: Preprocessing) -> Tensor:
    """What `Preprocessing.normalize` does, to the bit, on any device: uint8 (N, H, W, C) to float32 (N, C, H, W)."""
    images = pixels_NHWC.permute(0, 3, 1, 2).float().div_(255)
    mean, std = (
        torch.tensor(v, dtype=torch.float32, device=images.device).view(1, -1, 1, 1)
        for v in (preprocessing.mean, preprocessing.std)
    )
    return images.sub_(mean).div_(std)


def _with_shorter_side(image_HWC: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width, channels = image_HWC.shape
    scale = side / min(height, width)
    if scale >= 1:
        return image_HWC
    picture = Image.fromarray(image_HWC[:, :, 0] if channels == 1 else image_HWC)
    smaller = picture.resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)
    return np.asarray(smaller).reshape(round(height * scale), round(width * scale), channels)
