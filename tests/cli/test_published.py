"""Commands that take the name of a network and weights: the classes have names, the published preprocessing is used."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import convlens
from convlens import networks
from convlens.classifiers import resolve
from convlens.cli.main import main
from convlens.errors import ConvlensError

NAMES = networks.card("efficientnet_b0").class_names


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Weights in the published layout, drawn at random, for nothing is downloaded here."""
    path = tmp_path_factory.mktemp("weights") / "b0.pth"
    torch.save(networks.create("efficientnet_b0").state_dict(), path)
    return path


@pytest.fixture
def published(file, monkeypatch):
    monkeypatch.setattr("convlens.networks.download.fetch", lambda weights: file)
    return ["--weights", "imagenet1k_v1"]


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)).save(path)
    return str(path)


def test_predict_names_the_classes_of_published_weights_and_draws_their_map(published, file, picture, tmp_path, capsys):
    words = ["predict", "efficientnet_b0", picture, *published, "--json", "--quiet", "--map", str(tmp_path / "maps")]
    assert main(words) == 0
    (entry,) = json.loads(capsys.readouterr().out)["predictions"]
    network = networks.create("efficientnet_b0", weights=file).eval()
    x_CHW = networks.card("efficientnet_b0").weights["imagenet1k_v1"].preprocessing.open(picture)
    with torch.inference_mode():
        expected = torch.softmax(network(torch.from_numpy(x_CHW[None])), 1)[0]
    assert entry["classes"][0]["label"] == NAMES[int(expected.argmax())]
    assert entry["classes"][0]["probability"] == pytest.approx(float(expected.max()), abs=1e-4)
    assert (tmp_path / "maps" / "noise-map.png").exists()


def test_explain_takes_a_class_by_its_name(published, picture, tmp_path, capsys):
    words = ["explain", "efficientnet_b0", picture, *published, "--target", "golden retriever", "--json"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["explanations"]
    assert entry["label"] == "golden retriever"


def test_the_explorer_names_them_too_and_numbers_those_of_a_file(published, file):
    assert resolve("efficientnet_b0", weights="IMAGENET1K_V1").classes == NAMES
    assert resolve("efficientnet_b0", weights=str(file)).classes == tuple(map(str, range(1000)))


def test_a_file_of_weights_needs_the_names_of_its_classes(tmp_path, capsys):
    torch.save(networks.create("lenet5", classes=3).state_dict(), tmp_path / "mine.pth")
    (tmp_path / "names.txt").write_text("cat\ndog\nsheep\n")
    Image.fromarray(np.zeros((30, 30), np.uint8)).save(tmp_path / "black.png")
    words = ["predict", "lenet5", str(tmp_path / "black.png"), "--weights", str(tmp_path / "mine.pth"), "--quiet"]
    assert main(words) == 2
    assert "do not say what their classes are called; give --classes" in capsys.readouterr().err
    assert main([*words, "--classes", str(tmp_path / "names.txt")]) == 0
    assert "sheep" in capsys.readouterr().out
    assert resolve("lenet5", weights=str(tmp_path / "mine.pth")).classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "resnet50"}, "resnet50 is the name of a network, .* add --weights imagenet1k_v2"),
        ({"path": "lenet5"}, "add --weights with a file"),
        ({"path": "resnet50", "weights": "imagenet1k_v3"}, "imagenet1k_v3"),
        ({"path": "runs/train/x", "classes": ["a"]}, "nothing at 'runs/train/x'"),
    ],
)
def test_what_cannot_be_loaded(arguments, message):
    with pytest.raises(ConvlensError, match=message):
        convlens.load(**arguments)
