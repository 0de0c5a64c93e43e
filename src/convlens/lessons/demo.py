"""The lecture's two objections to fully connected networks, as numbers measured on handwritten digits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from convlens import files, runs
from convlens.data import Dataset, open_dataset
from convlens.evaluation import Evaluation, evaluate
from convlens.evaluation.figures import Curves
from convlens.evaluation.report_page import Section, write_report
from convlens.images import to_pillow
from convlens.predicting import Answering, FilePrediction, predict_files, torch_predictor
from convlens.training.config import TrainConfig
from convlens.training.progress import Watcher
from convlens.training.train import start

NETWORKS = ("mlp", "lenet5")
SHIFTS = tuple(range(9))  # pixels; training moves images by up to 4
_SHOWN = 6  # held-out digits that are predicted


@dataclass(frozen=True, kw_only=True)
class FirstLayer:
    """Weights and biases of a layer from (H, W, C) to (H, W, C_out): fully connected, and as a convolution."""

    height: int
    width: int
    channels: int
    out_channels: int
    kernel_size: int
    fully_connected: int
    convolution: int


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One of the two networks after training: its run, parameters, accuracy, and accuracy at each shift."""

    name: str
    folder: runs.RunFolder
    parameters: int
    evaluation: Evaluation
    at_shifts: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Demo:
    """All that the demo found."""

    first_layers: tuple[FirstLayer, ...]
    trained: tuple[Trained, ...]
    predictions: tuple[FilePrediction, ...]
    page: Path


def run_demo(folder: Path, *, epochs: int, seed: int, watcher: Watcher) -> Demo:
    """Train both networks alike on digits, measure both objections, and write a page with the figure.

    Args:
        folder: where the runs are made.
        epochs: of each network.
        seed: of each training.
        watcher: shows progress.

    Raises:
        KeyboardInterrupt: after Ctrl-C, once the step at hand is finished.
    """
    dataset = open_dataset("digits")
    trained = [_train(name, folder, epochs, seed, watcher, dataset) for name in NETWORKS]
    run = trained[-1].folder
    pictures = _write_digits(dataset, run.path / "digits")
    predictions = predict_files(_predictor(run), pictures, top=2)
    page = run.path / "demo.html"
    write_report(page, "Why convolve? Measured on handwritten digits", _sections(trained))
    return Demo(
        first_layers=(first_layer(32, 32, 1, 6, kernel_size=5), first_layer(224, 224, 3, 64, kernel_size=7)),
        trained=tuple(trained),
        predictions=tuple(predictions),
        page=page,
    )


def first_layer(height: int, width: int, channels: int, out_channels: int, *, kernel_size: int) -> FirstLayer:
    """Count the parameters of both layers on the modules themselves, on the meta device, which allocates nothing.

    >>> layer = first_layer(32, 32, 1, 6, kernel_size=5)
    >>> layer.fully_connected, layer.convolution
    (6297600, 156)
    """
    with torch.device("meta"):
        dense = nn.Linear(height * width * channels, height * width * out_channels)
        convolution = nn.Conv2d(channels, out_channels, kernel_size, padding="same")
    return FirstLayer(
        height=height,
        width=width,
        channels=channels,
        out_channels=out_channels,
        kernel_size=kernel_size,
        fully_connected=_count(dense),
        convolution=_count(convolution),
    )


def shift(images_NHWC: NDArray[np.uint8], down: int, right: int) -> NDArray[np.uint8]:
    """Move images by whole pixels; what comes in is black.

    >>> shift(np.arange(4, dtype=np.uint8).reshape(1, 2, 2, 1), 1, 0)[0, :, :, 0].tolist()
    [[0, 0], [0, 1]]
    """
    height, width = images_NHWC.shape[1:3]
    padded = np.pad(images_NHWC, [(0, 0), (abs(down),) * 2, (abs(right),) * 2, (0, 0)])
    top, left = abs(down) - down, abs(right) - right
    return padded[:, top : top + height, left : left + width]


def accuracy_when_shifted(predictor: Answering, dataset: Dataset, shifts: Sequence[int]) -> tuple[float, ...]:
    """Accuracy on the test images at each shift, the mean over left, right, up and down."""
    images = np.stack([predictor.preprocessing.fit(dataset.read(record)) for record in dataset.records("test")])
    truth = dataset.labels("test")

    def accuracy(down: int, right: int) -> float:
        inputs = predictor.preprocessing.normalize(shift(images, down, right))
        return float((predictor.probabilities(inputs).argmax(axis=1) == truth).mean())

    return tuple(float(np.mean([accuracy(s, 0), accuracy(-s, 0), accuracy(0, s), accuracy(0, -s)])) for s in shifts)


def _train(name: str, folder: Path, epochs: int, seed: int, watcher: Watcher, dataset: Dataset) -> Trained:
    config = TrainConfig(
        data="digits",
        network=name,
        size=(32, 32),
        epochs=epochs,
        seed=seed,
        precision="float32",  # and one thread: layers this small gain nothing from more, and the result is the same
        threads=1,
        runs=str(folder),
        name=name,
    )
    outcome = start(config, watcher)
    if outcome.stopped_by:
        raise KeyboardInterrupt
    predictor = _predictor(outcome.folder)
    return Trained(
        name=name,
        folder=outcome.folder,
        parameters=_count(outcome.folder.build_network()),
        evaluation=evaluate(predictor, dataset, "test"),
        at_shifts=accuracy_when_shifted(predictor, dataset, SHIFTS),
    )


def _predictor(folder: runs.RunFolder) -> Answering:
    return torch_predictor(folder.load_network(), folder.classes, folder.preprocessing, device="cpu")


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _write_digits(dataset: Dataset, folder: Path) -> list[Path]:
    """Write a few held-out digits as PNG files, each a different one, so that predict has files to read."""
    first_of: dict[str, str] = {}
    paths = []
    for record in dataset.records("test"):
        if record.label not in first_of and len(first_of) < _SHOWN:
            first_of[record.label] = record.key
            path = folder / f"{record.label}-{Path(record.key).name}.png"
            with files.replacing(path) as temporary:
                to_pillow(dataset.read(record, channels=1)).save(temporary, "PNG")
            paths.append(path)
    return sorted(paths)


def _sections(trained: Sequence[Trained]) -> list[Section]:
    curves = Curves(
        name="shifts",
        title="Accuracy when the test images are shifted",
        x_label="shift in pixels of 32",
        y_label="accuracy",
        x=SHIFTS,
        series={one.name: one.at_shifts for one in trained},
        percent=True,
    )
    rows = [(one.name, f"{one.parameters:,}", *(f"{value:.1%}" for value in one.at_shifts)) for one in trained]
    columns = ("network", "parameters", *(f"{s} px" for s in SHIFTS))
    text = "Both networks saw the same images equally often, shifted by up to 4 pixels while they were trained."
    return [Section(title="Shifted images", text=text, drawings=[curves], columns=columns, rows=rows)]
