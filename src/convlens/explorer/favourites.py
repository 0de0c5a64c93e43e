"""The training images that a channel answers to most."""

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from convlens.data import Dataset, Record, open_dataset
from convlens.errors import ConvlensError
from convlens.explorer.inside import Look, Patient, prepared, seen
from convlens.graph import execute

BATCH = 16
MOST_MACS = 2e11  # about ten seconds on one core
MOST_IMAGES = 1024
SHOWN = 9


@dataclass(frozen=True)
class Answers:
    """For some training images and every channel of a layer: the largest value, and where it is.

    Attributes:
        records: the images, N of them.
        largest: float32 `(N, C)`.
        where: int `(N, C, 2)`, row and column in the map; zeros for a layer without a map.
        total: how many training images there are.
    """

    records: tuple[Record, ...]
    largest: NDArray[np.float32]
    where: NDArray[np.int64]
    total: int


class Favourites:
    """Answers by network and layer, computed once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: dict[tuple[str, str], Answers] = {}
        self._datasets: dict[str, Dataset] = {}

    def dataset(self, patient: Patient) -> Dataset:
        """The data that a run was trained on.

        Raises:
            ConvlensError: the network was not trained here, or its data is not there any more.
        """
        source = patient.classifier.provenance.data
        if source is None:
            raise ConvlensError(f"{patient.name} is not a run, so it has no training images; open a run to see them")
        if source not in self._datasets:
            self._datasets[source] = open_dataset(source)
        return self._datasets[source]

    def answers(self, patient: Patient, place: str) -> Answers:
        """Run the network on training images, up to the layer."""
        with self._lock:
            if (patient.name, place) not in self._answers:
                self._answers[patient.name, place] = self._measure(patient, place)
            return self._answers[patient.name, place]

    def best(self, patient: Patient, place: str, channel: int) -> list[tuple[Record, float, tuple[int, int]]]:
        """The images with the largest value in a channel, with that value and its row and column."""
        answers = self.answers(patient, place)
        order = np.argsort(-answers.largest[:, channel], kind="stable")[:SHOWN]
        return [
            (answers.records[i], float(answers.largest[i, channel]), (int(row), int(column)))
            for i in order
            for row, column in [answers.where[i, channel]]
        ]

    def _measure(self, patient: Patient, place: str) -> Answers:
        dataset = self.dataset(patient)
        every = dataset.records("train")
        macs = max(1, patient.sheet.macs)
        count = int(min(len(every), MOST_IMAGES, max(3 * BATCH, MOST_MACS // macs)))
        chosen = [every[i] for i in np.linspace(0, len(every) - 1, count).astype(int)]
        graph = patient.sheet.graph
        output = patient.node(place).output
        largest, where = [], []
        for start in range(0, count, BATCH):
            batch = chosen[start : start + BATCH]
            images = [prepared(patient, dataset.read(each, channels=patient.size[0])) for each in batch]
            with patient.lock:
                values = execute(patient.network, graph, torch.cat(images), {output})[output]
            width = values.shape[3] if values.ndim == 4 else 1
            top, place_of = values.reshape(*values.shape[:2], -1).max(dim=2)
            largest.append(top.numpy())
            where.append(torch.stack([place_of // width, place_of % width], dim=2).numpy())
        return Answers(tuple(chosen), np.concatenate(largest), np.concatenate(where), len(every))


def thumbnail(patient: Patient, dataset: Dataset, record_: Record) -> NDArray[np.uint8]:
    """A training image as the network sees it, uint8 `(H, W, C)`."""
    return seen(Look(patient, prepared(patient, dataset.read(record_, channels=patient.size[0]))))


def summary(answers: Answers) -> dict[str, Any]:
    """How many images were looked at."""
    return {"looked_at": len(answers.records), "of": answers.total}
