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
    chance = np.random.default_rng(0)
    level = 1 / (255 * np.array(MEAN_STD["std"], np.float32).reshape(1, 3, 1, 1))
    for shape in SHAPES:
        images = np.stack([_picture(chance, shape) for _ in range(2)])
        expected = np.stack([preprocessing.apply(image) for image in images])
        difference = np.abs(in_onnx(images)[INPUT] - expected) / level
        assert difference.max() < 4.01
        assert difference.mean() < 0.3


def test_openvino_prepares_images_of_one_size_only(core):
    plain = Preprocessing(size=SIZE, **MEAN_STD)
    assert openvino_graph.can_attach(plain)
    whole = openvino_graph.attach(openvino_graph.from_onnx(core), plain)
    assert whole.inputs[0].get_partial_shape().to_string() == f"[?,{SIZE[0]},{SIZE[1]},3]"
    images = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), np.uint8)
    found = openvino_probe(whole, [INPUT], "float32")(images)[INPUT]
    np.testing.assert_allclose(found, np.stack([plain.apply(image) for image in images]), atol=1e-5)
    assert openvino_graph.detach(whole, plain).inputs[0].get_any_name() == INPUT
    for varied in ({"resize": SIZE}, {"resize": 40, "crop": "center"}, {"crop": "center"}):
        assert not openvino_graph.can_attach(Preprocessing(size=SIZE, **MEAN_STD, **varied))


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
