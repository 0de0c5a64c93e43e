"""Preprocessing inside the graphs against `Preprocessing.apply`, on images of many shapes."""

import numpy as np
import pytest
import torch
from PIL import Image

from convlens.artifacts import format_onnx, onnx_graph, onnx_preprocessing, openvino_graph
from convlens.artifacts.probes import onnx_probe, openvino_probe
from convlens.images import Preprocessing
from convlens.predicting.tensor_names import INPUT

SIZE = (24, 20)
MEAN_STD = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
WAYS = [
    {"resize": 28, "crop": "center"},
    {"resize": 16, "crop": "center"},  # smaller than what is cut: filled with black
    {"resize": SIZE},
    {"resize": SIZE, "interpolation": "bicubic"},
    {"resize": 30, "crop": "center", "interpolation": "bicubic"},
    {"crop": "center"},
]
SHAPES = [(24, 20), (60, 33), (33, 61), (25, 100), (100, 23), (10, 12)]


@pytest.fixture(scope="module")
def core():
    """A network small enough to look through: the mean of each channel."""

    class Means(torch.nn.Module):
        def forward(self, x):
            return x.mean((2, 3))

    preprocessing = Preprocessing(size=SIZE, resize=SIZE, **MEAN_STD)
    return format_onnx.translate(Means(), preprocessing, "float32")


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_pixels_are_those_of_pillow(core, way):
    preprocessing = Preprocessing(size=SIZE, **MEAN_STD, **way)
    in_onnx = onnx_probe(onnx_preprocessing.attach(core, preprocessing), [INPUT], optimise=True)
    in_openvino = openvino_probe(
        openvino_graph.attach(openvino_graph.from_onnx(core), preprocessing), [INPUT], "float32"
    )
    chance = np.random.default_rng(0)
    level = 1 / (255 * np.array(MEAN_STD["std"], np.float32).reshape(1, 3, 1, 1))
    for shape in SHAPES:
        images = np.stack([_picture(chance, shape) for _ in range(2)])
        expected = np.stack([preprocessing.apply(image) for image in images])
        for found in (in_onnx(images)[INPUT], in_openvino(images)[INPUT]):
            difference = np.abs(found - expected) / level
            assert difference.max() < 4.01
            assert difference.mean() < 0.3


def _picture(chance, shape):
    """Soft patches of colour: as in photographs, neighbouring pixels are alike."""
    patches = chance.integers(0, 256, (shape[0] // 6 + 2, shape[1] // 6 + 2, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(patches).resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


def test_detached_it_is_the_network_alone_again(core):
    preprocessing = Preprocessing(size=SIZE, resize=SIZE, **MEAN_STD)
    again = onnx_preprocessing.detach(onnx_preprocessing.attach(core, preprocessing))
    x = np.random.default_rng(0).normal(size=(3, 3, *SIZE)).astype(np.float32)
    expected = onnx_probe(core, ["probabilities"])(x)
    np.testing.assert_array_equal(onnx_probe(again, ["probabilities"])(x)["probabilities"], expected["probabilities"])
    assert onnx_graph.get_strings(again) == {}


@pytest.mark.parametrize("way", [{"resize": SIZE, "interpolation": "nearest"}, {"resize": SIZE, "antialias": False}])
def test_what_the_operators_cannot_do_is_left_to_the_client(way):
    preprocessing = Preprocessing(size=SIZE, **MEAN_STD, **way)
    assert not onnx_preprocessing.can_attach(preprocessing)
    assert not openvino_graph.can_attach(preprocessing)
