"""Predictions on a cluster, one of whose nodes is killed in the middle."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from convlens.classifiers import resolve
from convlens.cli.main import main
from convlens.cluster.bulk_predictions import predict_on_ray
from convlens.cluster.shipment import ship
from convlens.errors import ConvlensError
from convlens.predicting.bulk import pieces, predict_to_file


@pytest.fixture
def images(digits, tmp_path):
    """Two hundred images of digits, three of which are broken."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(200):
        image = np.roll(digits[number % len(digits)][:, :, 0], number // 50, axis=1)
        content = io.BytesIO()
        Image.fromarray(image).save(content, "png")
        (folder / f"{number:03d}.png").write_bytes(content.getvalue() if number % 75 != 7 else b"broken")
    return folder


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_node_killed_in_the_middle_loses_and_doubles_nothing(
    cluster, another_node, images, run, tmp_path, monkeypatch
):
    monkeypatch.setattr(pieces, "_IMAGES", 10)
    monkeypatch.chdir(tmp_path)
    found = resolve(run.path)
    predict_to_file(found.predictor(), ["photos"], tmp_path / "here.jsonl", asked={})
    killed = []

    def kill(done, total):
        assert total == 200
        if done > 40 and not killed:
            killed.append(done)
            cluster.remove_node(another_node, allow_graceful=False)

    summary = predict_on_ray(
        ship(found, runtime=None, device="cpu"), ["photos"], "there.jsonl",
        address=cluster.address, asked={}, batch=8, on_progress=kill,
    )  # fmt: skip
    assert 40 < killed[0] < 200
    assert (summary.images, summary.errors) == (200, 3)
    assert rows(tmp_path / "there.jsonl") == rows(tmp_path / "here.jsonl")


def test_the_command_and_what_it_refuses(cluster, run, digits, tmp_path, capsys):
    Image.fromarray(digits[0][:, :, 0]).save(tmp_path / "a.png")
    out = str(tmp_path / "a.csv")
    assert main(["predict", str(run.path), str(tmp_path / "a.png"), "--ray", cluster.address, "--out", out]) == 0
    assert "1 images" in capsys.readouterr().err
    assert main(["predict", str(run.path), str(tmp_path / "a.png"), "--ray"]) == 2
    assert "add --out" in capsys.readouterr().err


def test_code_is_not_sent(tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\nclass Net(nn.Sequential):\n    def __init__(self):\n"
        "        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))\n"
    )
    with pytest.raises(ConvlensError, match="is code, which the machines of a cluster do not have"):
        ship(resolve(f"{tmp_path}/net.py:Net", size=(8, 8)), runtime=None, device="cpu")
