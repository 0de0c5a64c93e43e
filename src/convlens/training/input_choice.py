"""Input size and preprocessing, from the images themselves where the user names none."""

from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convlens import networks, runs
from convlens.data import Dataset
from convlens.images import Preprocessing
from convlens.training.config import TrainConfig

_SAMPLE = 256  # images that mean, deviation and shape are measured on
_MULTIPLE = 32  # the stride of most networks: sizes are multiples of it
_SMALL = 64  # pixels: networks made for such inputs halve them but twice, so that multiples of 4 will do
_NEARLY = 0.75  # of that multiple: from there on images keep their own size
_NEARLY_SQUARE = 1.15


def weights_file(config: TrainConfig) -> str | Path | None:
    """What `networks.create` takes for the weights that training starts from; of a run, its best ones."""
    if config.weights is not None and runs.is_run(config.weights):
        return runs.open_folder(config.weights).weights_path("best")
    return config.weights


def preprocessing_of(config: TrainConfig) -> Preprocessing | None:
    """What the images went through for which the given weights were made; None where that is not known."""
    if config.weights is None:
        return None
    if runs.is_run(config.weights):
        return runs.open_folder(config.weights).preprocessing
    published = networks.card(config.network).weights.get(config.weights.lower())
    return None if published is None else published.preprocessing


def choose_preprocessing(config: TrainConfig, dataset: Dataset, before: Preprocessing | None = None) -> Preprocessing:
    """Decide what happens to an image before the network sees it; a function of configuration and data only.

    Images that are about square are resized as they are; of others the middle square is taken, undistorted.

    Args:
        config: may name size and channels.
        dataset: the images.
        before: what the given weights were made for: size, mean and deviation are taken over, where they fit.
    """
    channels = config.channels or (before.channels if before else dataset.channels)
    images = sample(dataset, channels)
    size = config.size or (before.size if before else fitting_size(config.network, images))
    networks.check_size(config.network, size)
    mean, std = _mean_and_deviation(images)
    if before and before.channels == channels:
        mean, std = before.mean, before.std
    aspects = [max(image.shape[:2]) / min(image.shape[:2]) for image in images]
    distorts = size[0] == size[1] and float(np.quantile(aspects, 0.9)) > _NEARLY_SQUARE
    return Preprocessing(
        size=size,
        resize=size[0] if distorts else size,
        crop="center" if distorts else None,
        mean=mean,
        std=std,
        channels=channels,
    )


def sample(dataset: Dataset, channels: int) -> list[NDArray[np.uint8]]:
    """Training images at even distances, uint8 (H, W, C); large JPEGs at a fraction of their size."""
    records = dataset.records("train")
    chosen = [records[i] for i in np.linspace(0, len(records) - 1, min(_SAMPLE, len(records))).astype(int)]
    return [dataset.read(record, channels=channels, at_least=(224, 224)) for record in chosen]


def fitting_size(network: str, images: list[NDArray[np.uint8]]) -> tuple[int, int]:
    """The size that the network is published for, or a smaller one if the images have no more to show.

    A scaled network gets its own, which is one of its coefficients.
    """
    card = networks.card(network)
    if networks.is_scaled(network):
        return card.input_size
    shorter_side = float(np.median([min(image.shape[:2]) for image in images]))
    enough = _MULTIPLE * ceil(shorter_side / _MULTIPLE)
    if max(card.input_size) <= _SMALL and shorter_side > _NEARLY * enough:  # to enlarge a little only blurs, and costs
        enough = 4 * ceil(shorter_side / 4)
    height, width = (
        max(smallest, min(usual, enough)) for smallest, usual in zip(card.smallest_size, card.input_size, strict=True)
    )
    return height, width


def _mean_and_deviation(images: list[NDArray[np.uint8]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Per channel, of values 0..1, over the pixels of all images, each image counting the same."""
    values = [image.reshape(-1, image.shape[2]) / 255 for image in images]
    mean = np.mean([v.mean(axis=0) for v in values], axis=0)
    variance = np.mean([((v - mean) ** 2).mean(axis=0) for v in values], axis=0)
    deviation = np.maximum(np.sqrt(variance), 1 / 255)  # images of one colour have none
    return tuple(mean.round(4).tolist()), tuple(deviation.round(4).tolist())
