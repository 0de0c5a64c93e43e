"""What a run's own numbers say of it: layers over the kept weights, dead and saturated channels, its worst mistakes."""

import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy

from convlens import runs
from convlens.anatomy import inspect
from convlens.data import Dataset, Loader, Record, open_dataset
from convlens.errors import ConvlensError
from convlens.explorer.folding import unfolded
from convlens.graph import observe
from convlens.training.config import TrainConfig

BINS = 40
BATCH = 32
MOST_IMAGES = 2000
SHOWN = 24
NEAR = 0.01  # of a limit

Kept = Literal["best", "last"]


@dataclass(frozen=True)
class Answered:
    """The network's answers on held-out images.

    Attributes:
        records: the images, N of them.
        truth: int `(N,)`.
        probabilities: float32 `(N, classes)`.
    """

    records: tuple[Record, ...]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float32]


class Debugging:
    """One run, opened from its folder; what is measured is kept."""

    def __init__(self, folder: Path) -> None:
        self.run = runs.open_folder(folder)
        self._lock = threading.Lock()
        self._layers: dict[str, list[dict[str, Any]]] = {}

    @cached_property
    def dataset(self) -> Dataset:
        """The data that it was trained on.

        Raises:
            ConvlensError: they are not where they were.
        """
        return open_dataset(self.run.description.data.source, classes=self.run.classes)

    @cached_property
    def split(self) -> str:
        """The held-out images: the validation split, or the test split."""
        return "val" if self.dataset.splits.get("val") else "test"

    def layers(self, which: Kept) -> list[dict[str, Any]]:
        """Histograms of weights, outputs and gradients of each layer, and its silent channels, on held-out images."""
        with self._lock:
            if which not in self._layers:
                self._layers[which] = self._measured(which)
            return self._layers[which]

    @cached_property
    def answered(self) -> Answered:
        """Its answers on the held-out images, at most 2,000 of them."""
        records = self.dataset.records(self.split)[:MOST_IMAGES]
        network = self.run.load_network("best").eval()
        found = []
        with torch.inference_mode():
            for start in range(0, len(records), BATCH):
                x = torch.stack([self._input(record) for record in records[start : start + BATCH]])
                found.append(torch.softmax(network(x).float(), 1))
        index = {name: number for number, name in enumerate(self.run.classes)}
        truth = np.array([index[record.label] for record in records])
        return Answered(tuple(records), truth, torch.cat(found).numpy())

    def confusion(self) -> list[list[int]]:
        """Counts by truth (rows) and answer (columns)."""
        count = len(self.run.classes)
        table = np.zeros((count, count), dtype=int)
        np.add.at(table, (self.answered.truth, self.answered.probabilities.argmax(1)), 1)
        return table.tolist()

    def mistakes(self, truth: int | None = None, answer: int | None = None) -> list[int]:
        """Indices of the images it is most wrongly sure of; or all of one cell of the confusion."""
        found = self.answered
        said = found.probabilities.argmax(1)
        if truth is None or answer is None:
            wrong = np.flatnonzero(said != found.truth)
        else:
            wrong = np.flatnonzero((found.truth == truth) & (said == answer))
        return [int(i) for i in wrong[np.argsort(-found.probabilities[wrong].max(1), kind="stable")][:SHOWN]]

    def image(self, index: int) -> tuple[Record, NDArray[np.uint8]]:
        """A held-out image as it lies in the data.

        Raises:
            ConvlensError: there is none of that number.
        """
        if not 0 <= index < len(self.answered.records):
            raise ConvlensError(f"there is no held-out image {index}; use 0 to {len(self.answered.records) - 1}")
        record = self.answered.records[index]
        return record, self.dataset.read(record, channels=self.run.channels)

    def augmented(self) -> NDArray[np.uint8]:
        """Sixteen training images as the first epoch showed them, uint8 `(N, H, W, C)`."""
        from convlens.training.material import augmentation_of

        config = TrainConfig.from_dict(self.run.config)
        preprocessing = self.run.preprocessing
        loader = Loader(
            self.dataset,
            "train",
            preprocessing,
            batch_size=16,
            augmentation=augmentation_of(config, self.dataset, preprocessing),
            seed=config.seed,
        )
        return np.stack([np.asarray(each) for each in loader.preview(16)])

    def _input(self, record: Record) -> torch.Tensor:
        return torch.from_numpy(self.run.preprocessing.apply(self.dataset.read(record, channels=self.run.channels)))

    def _measured(self, which: Kept) -> list[dict[str, Any]]:
        network = self.run.load_network(which).eval()
        records = self.dataset.records(self.split)[:BATCH]
        x = torch.stack([self._input(record) for record in records])
        truth = torch.tensor([self.run.classes.index(record.label) for record in records])
        outputs: dict[str, torch.Tensor] = {}

        def keep(name: str) -> Any:
            def hook(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
                output.retain_grad()
                outputs[name] = output

            return hook

        weighted = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
        handles = [module.register_forward_hook(keep(name)) for name, module in weighted.items()]
        try:
            with torch.enable_grad():
                cross_entropy(network(x), truth).backward()  # type: ignore[no-untyped-call]
        finally:
            for handle in handles:
                handle.remove()
        silent = self._silent(network, x)
        return [
            {
                "layer": name,
                "weights": _histogram(module.weight.detach()),
                "activations": _histogram(outputs[name].detach()),
                "gradients": _histogram(outputs[name].grad),
                **silent.get(name, {"dead": [], "saturated": []}),
            }
            for name, module in weighted.items()
            if name in outputs
        ]

    def _silent(self, network: nn.Module, x: torch.Tensor) -> dict[str, dict[str, list[int]]]:
        """For each layer with an activation, the channels that say nothing of any of the images, by what it gives."""
        sheet = inspect(network, tuple(x.shape[1:]))
        layers = {node.output: node for node in unfolded(sheet) if set(node.follows) & {*LIMITS, *FLOORS}}
        found: dict[str, dict[str, list[int]]] = {}

        def see(index: int, tensor: torch.Tensor) -> None:
            node = layers[index]
            found[node.id] = _channels(tensor, node.follows)

        observe(network, sheet.graph, x, set(layers), see)
        return found


# activations that are 0 below zero; and what others come no further than
FLOORS = ("ReLU", "ReLU6")
LIMITS = {"ReLU6": (6.0,), "sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


def _channels(output: torch.Tensor, follows: list[str]) -> dict[str, list[int]]:
    """Dead: 0 everywhere on every image. Saturated: at a limit of the activation everywhere on every image."""
    flat = output.transpose(0, 1).flatten(1)
    floored = any(name in FLOORS for name in follows)
    dead = (flat == 0).all(1) if floored else torch.zeros(len(flat), dtype=torch.bool)
    limits = [limit for name in follows for limit in LIMITS.get(name, ())]
    near = torch.zeros_like(flat, dtype=torch.bool)
    for limit in limits:
        near |= (flat - limit).abs() < NEAR
    return {"dead": torch.nonzero(dead)[:, 0].tolist(), "saturated": torch.nonzero(near.all(1))[:, 0].tolist()}


def _histogram(values: torch.Tensor | None) -> dict[str, Any] | None:
    if values is None:
        return None
    flat = values.flatten().double()
    low, high = float(flat.min()), float(flat.max())
    counts = torch.histc(flat, BINS, low, high).int().tolist() if high > low else [flat.numel()]
    return {"low": low, "high": high, "counts": counts}
