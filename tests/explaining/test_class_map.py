import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from convlens import shipping
from convlens.cli.main import main
from convlens.errors import ConvlensError
from convlens.explaining.class_map import class_map, draw_class_map
from convlens.images import Preprocessing
from convlens.networks import create

PREPROCESSING = Preprocessing(size=(8, 8), resize=(8, 8), mean=(0.0,), std=(1.0,), channels=1)


class Brightness(nn.Module):
    """Two classes: dark and bright, by the mean of an 8×8 window."""

    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(64, 2)
        with torch.no_grad():
            self.fc.weight.copy_(torch.stack([torch.full((64,), -0.5), torch.full((64,), 0.5)]))
            self.fc.bias.copy_(torch.tensor([16.0, -16.0]))

    def forward(self, x):
        return self.fc(self.flatten(x))


def half_bright():
    image = np.zeros((32, 32, 1), np.uint8)
    image[:, 16:] = 255
    return image


def test_each_place_has_the_class_of_its_window():
    found = class_map(Brightness(), PREPROCESSING, half_bright(), zoom=4.0)
    assert found.probabilities.shape == (2, 25, 25)
    np.testing.assert_allclose(found.probabilities.sum(axis=0), 1.0, rtol=1e-5)
    assert (found.probabilities[0, :, :9] > 0.99).all()
    assert (found.probabilities[1, :, 16:] > 0.99).all()
    assert found.extent() == (3.5, 28.5, 28.5, 3.5)


def test_the_picture_is_written_with_the_likeliest_classes(tmp_path):
    found = class_map(Brightness(), PREPROCESSING, half_bright())
    draw_class_map(found, ("dark", "bright"), tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.width > 600
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 50


def test_an_image_of_one_window_gives_one_unit():
    found = class_map(Brightness(), PREPROCESSING, half_bright(), zoom=1.0)
    assert found.probabilities.shape == (2, 1, 1)
    assert found.extent() == (0.0, 8.0, 8.0, 0.0)


def test_a_zoom_below_one_is_an_error():
    with pytest.raises(ConvlensError, match=r"zoom=0\.5 must be at least 1"):
        class_map(Brightness(), PREPROCESSING, half_bright(), zoom=0.5)


def test_colour_and_a_network_with_padding():
    preprocessing = Preprocessing(size=(32, 32), resize=(32, 32), mean=(0.5,) * 3, std=(0.5,) * 3)
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    found = class_map(create("resnet20"), preprocessing, image)
    assert found.picture.shape == (64, 96, 3)
    assert found.probabilities.shape == (10, 9, 17)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    import convlens

    settings = {"network": "mlp", "epochs": 1, "quiet": True, "device": "cpu"}
    return convlens.train("digits", **settings, runs=str(tmp_path_factory.mktemp("runs"))).path


def test_predict_map_writes_a_picture_a_file(run, tmp_path, capsys):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.fromarray(half_bright()[:, :, 0]).save(tmp_path / folder / "x.png")
    images = [str(tmp_path / name) for name in ("a/x.png", "b/x.png", "none.png")]
    assert main(["predict", str(run), *images, "--map", str(tmp_path / "maps"), "--quiet"]) == 1
    assert sorted(p.name for p in (tmp_path / "maps").iterdir()) == ["x-2-map.png", "x-map.png"]
    assert "map " in capsys.readouterr().err


def test_an_artifact_has_no_map(tmp_path, capsys):
    shipping.export("lenet5", "onnx", out=tmp_path / "net.onnx")
    words = ["predict", str(tmp_path / "net.onnx"), "x.png", "--map", str(tmp_path / "maps"), "--quiet"]
    assert main(words) == 2
    assert "into whose network one cannot look; give the run" in capsys.readouterr().err
