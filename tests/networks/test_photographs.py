"""Weights from packages name real photographs, with the probabilities that others measured (facts/packages.md)."""

from importlib.resources import files
from pathlib import Path

import pytest
import torch

from convlens.networks import card, class_names, create


def photograph(name):
    package = "sklearn.datasets.images" if name.endswith(".jpg") else "skimage.data"
    return Path(str(files(package).joinpath(name)))


@pytest.mark.parametrize(
    ("network", "picture", "label", "probability"),
    [
        ("efficientnet_lite0", "china.jpg", "palace", 0.298),
        ("efficientnet_lite0", "flower.jpg", "daisy", 0.315),
        ("efficientnet_lite1", "china.jpg", "palace", 0.525),
        ("efficientnet_lite2", "china.jpg", "palace", 0.383),
        ("mobilenet_v2", "chelsea.png", "Egyptian cat", 0.72),
        ("mobilenet_v2", "coffee.png", "espresso", 0.99),
    ],
)
def test_a_photograph_has_its_name(network, picture, label, probability):
    sheet = card(network)
    published = sheet.named("imagenet1k")
    model = create(network, weights="imagenet1k").eval()
    x_CHW = published.preprocessing.open(photograph(picture))
    with torch.inference_mode():
        answer = torch.softmax(model(torch.from_numpy(x_CHW[None])), 1)[0]
    assert class_names(network, "imagenet1k")[int(answer.argmax())] == label
    assert float(answer.max()) == pytest.approx(probability, abs=0.01 if network == "mobilenet_v2" else 0.001)
