"""Batches for training and evaluation, the same ones whatever was cut short or ran beside."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convlens.data.augmentation import Augmentation
from convlens.data.buffers import Buffers
from convlens.data.chance import uniforms
from convlens.data.dataset import DataError, Dataset, Record
from convlens.data.keeping import Cache, Keeper, keeper_for
from convlens.data.mixing import mixed, mixing_generator
from convlens.data.order import Sampling, draws, streamed
from convlens.data.packed import PackedSource, ShardError
from convlens.data.parallel import in_order
from convlens.data.pipeline import CROP, FLIP, augmented, numbers_for, shown
from convlens.data.warping import crop_box, resize_into, resized
from convlens.data.workers import Workers, done_within
from convlens.images import Preprocessing
from convlens.processors import available_processors

_CROPPING_MARGIN = 1.25  # how much larger than the network's size an image is kept for random crops
_SHRINKING_GAIN = 1.5  # what is kept is shrunk to that margin only if its side shrinks by more than this
_AHEAD = 2  # batches that are loaded while one is used
_CHUNK = 8  # images a worker takes at a time
_BUFFER = 10_000  # images that shards are shuffled through
_PATIENCE = 10  # stalls that are reported before loading is given up

log = logging.getLogger("convlens")


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One step's images and labels, on the device that was asked for.

    Args:
        step: the position in the epoch, from 0.
        images: float32 (N, C, H, W), normalised, channels last in memory.
        labels: class indices, int64 (N,).
        indices: of the records in their split, int64 (N,), on the CPU.
        soft_labels: shares of the classes, float32 (N, K), when mixup or cutmix mixed the images; else None.
    """

    step: int
    images: Tensor
    labels: Tensor
    indices: Tensor
    soft_labels: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class _Pending:
    """A batch that workers are filling."""

    epoch: int
    step: int
    draws: NDArray[np.int64]
    chances: NDArray[np.float64]
    pixels: Tensor
    futures: list["Future[None]"]
    own: slice  # of the step's batch
    partnered: bool  # whether an image comes first that the first one is only mixed with


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
        workers: threads that load; 0 loads in the calling thread, None takes the processors that there are.
        sampling: `"balanced"` shows each class equally often in training.
        repeats: how many times a sample comes in a row in training, each time augmented anew.
        cache: where decoded images are kept between epochs: `"auto"`, `"memory"`, `"disk"` or `"none"`.
        max_bad: share of the images that may be lost with shards that cannot be read any more.
        share: (rank, of) where several processes train together: of every training batch this is one's part, all parts
            of which are the batch; of an evaluation one's whole batches, in turns.
        stall_seconds: after so long without progress the log names the file and the worker that hang.

    Raises:
        DataError: a batch larger than the training data, or smaller than the processes that share it.

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
        sampling: Sampling = "shuffled",
        repeats: int = 1,
        cache: Cache = "auto",
        stall_seconds: float = 60,
        max_bad: float = 0.05,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self.dataset, self.preprocessing, self.augmentation = dataset, preprocessing, augmentation
        self.records: Sequence[Record] = dataset.records(split)
        self.batch_size, self.seed = batch_size, seed
        self.sampling, self.repeats, self.stall_seconds = sampling, repeats, stall_seconds
        if batch_size < 1:
            raise DataError(f"batch size {batch_size}; use at least 1")
        if augmentation is not None and batch_size > len(self.records):
            raise DataError(
                f"batch size {batch_size} is larger than the {len(self.records)} images of {split}; "
                f"use at most {len(self.records)}"
            )
        if augmentation is not None and batch_size < share[1]:
            raise DataError(f"batch size {batch_size} for {share[1]} processes; use at least {share[1]}, an image each")
        self.share = share
        self.workers = (0 if dataset.source.raw else available_processors()) if workers is None else workers
        self.max_bad = max_bad
        self.labels = dataset.labels(split)
        self._shards = _shards_of(dataset, self.records)
        self._lost: set[str] = set()  # shards that cannot be read
        self._crops = augmentation is not None and augmentation.crop_scale is not None
        self._side = round(max(preprocessing.size) * _CROPPING_MARGIN)
        self._buffers = Buffers()
        self.kept: Keeper = keeper_for(cache, dataset, self.records, self._settings())

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        full, rest = divmod(len(self.records), self.batch_size)
        return full if self.augmentation is not None or not rest else full + 1

    def epoch(self, epoch: int, *, start_step: int = 0, device: str | torch.device = "cpu") -> Iterator[Batch]:
        """Yield the batches of an epoch from `start_step` on.

        Raises:
            ImageError: a file that could be read before cannot be read any more.
            DataError: loading hangs for good.
        """
        order, device = self._draws(epoch), torch.device(device)
        if isinstance(self.dataset.source, PackedSource):
            paths = (self.records[index].path for index in (order[start_step * self.batch_size :] % len(self.records)))
            self.dataset.source.expect(list(dict.fromkeys(paths)))
        ahead: deque[_Pending] = deque()
        with Workers(self._fill, count=self.workers, name="convlens-load") as workers:
            for step in self._own_steps(start_step):
                drawn = order[step * self.batch_size :][: self.batch_size]
                ahead.append(self._begin(workers, epoch, step, drawn, device))
                if len(ahead) > (_AHEAD if self.workers else 0):
                    yield self._finish(workers, ahead.popleft(), device)
            while ahead:
                yield self._finish(workers, ahead.popleft(), device)

    def _own_steps(self, start_step: int) -> range:
        rank, of = self.share
        return range(start_step, self.steps) if self.augmentation is not None else range(rank, self.steps, of)

    def _own(self, batch: int) -> slice:
        """This process's part of a batch; parts differ by one image at most."""
        rank, of = self.share if self.augmentation is not None else (0, 1)
        return slice(batch * rank // of, batch * (rank + 1) // of)

    def preview(self, count: int = 16, *, epoch: int = 0) -> NDArray[np.uint8]:
        """The first images of an epoch as the network sees them, the normalisation undone: uint8 (count, H, W, C)."""
        images: list[NDArray[np.uint8]] = []
        for batch in self.epoch(epoch):
            images += list(shown(batch.images, self.preprocessing))
            if len(images) >= count:
                break
        return np.stack(images[:count])

    def fill(self, on_progress: Callable[[int, int], None] | None = None) -> None:
        """Decode every image that is not kept yet, so that the first epoch need not."""
        for done, _ in enumerate(in_order(self._image, range(len(self.records)), name="convlens-prepare"), start=1):
            if on_progress:
                on_progress(done, len(self.records))

    def _draws(self, epoch: int) -> NDArray[np.int64]:
        if self.augmentation is None:
            return np.arange(len(self.records))
        if self._shards is not None and self.sampling == "shuffled" and self.repeats == 1:
            return streamed(self.seed, epoch, self._shards, buffer=_BUFFER)
        return draws(self.seed, epoch, self.labels, sampling=self.sampling, repeats=self.repeats)

    def _begin(
        self, workers: Workers[None], epoch: int, step: int, drawn: NDArray[np.int64], device: torch.device
    ) -> _Pending:
        own = self._own(len(drawn))
        partnered = self.share[1] > 1 and self.augmentation is not None and self.augmentation.mixes
        drawn = np.concatenate([drawn[[own.start - 1]], drawn[own]]) if partnered else drawn[own]
        chances = uniforms(self.seed, epoch, drawn, numbers_for(self.augmentation))
        shape = (len(drawn), *self.preprocessing.size, self.preprocessing.channels)
        if device.type == "cuda":
            pixels = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        else:
            pixels = self._buffers.take(shape, np.uint8)
        parts = [slice(start, start + _CHUNK) for start in range(0, len(drawn), _CHUNK)]
        submit = workers.submit if self.workers else _call(self._fill)
        futures = [submit(workers, pixels[part], drawn[part], chances[part]) for part in parts]
        return _Pending(
            epoch=epoch,
            step=step,
            draws=drawn,
            chances=chances,
            pixels=pixels,
            futures=futures,
            own=own,
            partnered=partnered,
        )

    def _finish(self, workers: Workers[None], pending: _Pending, device: torch.device) -> Batch:
        for future in pending.futures:
            self._wait(workers, future)
        pending = self._without_lost(pending)
        pixels = pending.pixels.to(device, non_blocking=True)
        memory = self._buffers.take(tuple(pixels.shape), np.float32) if device.type == "cpu" else None
        images = augmented(pixels, self.preprocessing, self.augmentation, pending.chances, out=memory)
        indices = pending.draws % len(self.records)
        labels = torch.from_numpy(self.labels[indices]).to(device, non_blocking=True)
        soft_labels = None
        if self.augmentation is not None and self.augmentation.mixes:
            generator = mixing_generator(self.seed, pending.epoch, pending.step)
            part = (pending.own, self.batch_size) if pending.partnered else None
            images, soft_labels = mixed(images, labels, len(self.dataset.classes), self.augmentation, generator, part)
            if pending.partnered:
                indices, labels = indices[1:], labels[1:]
        return Batch(
            step=pending.step,
            images=images,
            labels=labels,
            indices=torch.from_numpy(indices),
            soft_labels=soft_labels,
        )

    def _without_lost(self, pending: _Pending) -> _Pending:
        """The batch without the images of shards that cannot be read."""
        if not self._lost:
            return pending
        there = np.array([self.records[index].path not in self._lost for index in pending.draws % len(self.records)])
        if there.all():
            return pending
        if pending.partnered:  # the rest is mixed among itself
            there[0] = False
        if not there.any():
            raise DataError(f"no image of a batch can be read: {min(self._lost)} is lost; pack or copy the data again")
        return replace(
            pending,
            draws=pending.draws[there],
            chances=pending.chances[there],
            pixels=pending.pixels[torch.from_numpy(there)],
            partnered=False,
        )

    def _lose(self, error: ShardError, path: str) -> None:
        """Go on without a shard, if it is not too much that is lost."""
        if path in self._lost:
            return
        self._lost.add(path)
        lost = sum(record.path in self._lost for record in self.records)
        log.warning("%s; its images are left out from here on", error)
        if lost > self.max_bad * len(self.records):
            raise DataError(
                f"{error}; {lost} of {len(self.records)} images are lost with it, more than {100 * self.max_bad:g} %: "
                "copy it again, or raise --max-bad"
            )

    def _wait(self, workers: Workers[None], future: "Future[None]") -> None:
        """Wait for a part of a batch; while nothing comes, name the file and the worker."""
        for _ in range(_PATIENCE):
            if done_within(future, self.stall_seconds):
                return future.result()
            task = workers.longest()
            stuck = (
                f"{task.worker} has been reading {task.subject} for {task.seconds:.0f} s" if task else "no worker moves"
            )
            log.warning("loading stalls: %s", stuck)
        raise DataError(f"loading hangs: {stuck}; check the disk or the network it lies on")

    def _fill(
        self,
        workers: Workers[None],
        pixels_NHWC: Tensor,
        drawn: NDArray[np.int64],
        chances: NDArray[np.float64],
    ) -> None:
        """Load a part of a batch into its place."""
        # Plain numbers: NumPy's own scalars take ten times as long to count with.
        for place, draw, numbers in zip(pixels_NHWC, drawn.tolist(), chances[:, : FLIP + 1].tolist(), strict=True):
            index = draw % len(self.records)
            workers.report(self.records[index].key)
            if self.records[index].path in self._lost:
                continue
            try:
                image = self._image(index)
            except ShardError as error:
                self._lose(error, self.records[index].path)
                continue
            if self._crops and self.augmentation is not None:
                top, left, height, width = crop_box(image.shape[:2], self.augmentation, numbers[CROP])
                # Mirrored here, where it lies in the processor's cache: a whole batch would have to be fetched again.
                mirror = self.augmentation.flip and numbers[FLIP] < 0.5
                resize_into(place, image[top : top + height, left : left + width], mirror=mirror)
            else:
                place.copy_(torch.from_numpy(image))

    def _image(self, index: int) -> NDArray[np.uint8]:
        """The decoded image, kept as long as there is room."""
        image = self.kept.get(index)
        if image is None:
            image = self._decoded(self.records[index])
            self.kept.put(index, image)
        return image

    def _decoded(self, record: Record) -> NDArray[np.uint8]:
        channels = self.preprocessing.channels
        if not self._crops:
            at_least = self.preprocessing.decoding_size()
            return self.preprocessing.fit(self.dataset.read(record, channels=channels, at_least=at_least))
        image = self.dataset.read(record, channels=channels, at_least=(self._side, self._side))
        scale = self._side / min(image.shape[:2])
        if scale >= 1 / _SHRINKING_GAIN:
            return image
        return resized(image, (round(image.shape[0] * scale), round(image.shape[1] * scale))).numpy()

    def _settings(self) -> dict[str, object]:
        """What a kept image depends on besides its file."""
        if self._crops:
            return {"shorter side": self._side, "channels": self.preprocessing.channels}
        unused = ("mean", "std")
        return {name: value for name, value in self.preprocessing.to_dict().items() if name not in unused}


def _shards_of(dataset: Dataset, records: Sequence[Record]) -> NDArray[np.int64] | None:
    """The number of each record's shard, of data that is read shard by shard."""
    if not isinstance(dataset.source, PackedSource):
        return None
    numbers = {path: number for number, path in enumerate(dict.fromkeys(record.path for record in records))}
    return np.array([numbers[record.path] for record in records], np.int64)


def _call(function: Callable[..., None]) -> "Callable[..., Future[None]]":
    """Submit to nobody: call at once."""

    def submit(*arguments: object) -> "Future[None]":
        future: Future[None] = Future()
        function(*arguments)
        future.set_result(None)
        return future

    return submit
