"""A network whose answers are no numbers: said in one line, valid JSON, exit code 1."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from convlens import runs
from convlens.cli.main import main
from convlens.images import Preprocessing
from convlens.runs.environment import versions
from convlens.runs.run_weights import save_weights


@pytest.fixture
def run(tmp_path):
    """A run whose weights are numbers, and so large that what they give is none."""
    description = runs.Description(
        name="digits",
        created="2026-11-24T06:00:00+00:00",
        network=runs.NetworkChoice(name="lenet5", classes=2, channels=1, size=(32, 32)),
        classes=("cat", "dog"),
        preprocessing=Preprocessing(size=(32, 32), resize=(32, 32), mean=(0.5,), std=(0.25,), channels=1),
        config={},
        data=runs.DataSummary(source="pets", fingerprint="abc", splits={"train": 8}),
        numerics={"precision": "float32"},
        versions=versions(),
    )
    folder = runs.create_folder(tmp_path, "pets", description)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        network = folder.build_network()
    state = {name: value * 1e25 for name, value in network.state_dict().items()}
    for which in ("best", "last"):
        save_weights(state, folder.weights_path(which))
    return str(folder.path)


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50), np.uint8)
    path = tmp_path / "data" / "val" / "cat" / "one.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("words", [["--json"], [], ["--csv"]])
def test_predict_says_that_the_network_gives_no_numbers(run, picture, capsys, words):
    assert main(["predict", run, str(picture), *words, "--quiet"]) == 1
    said = capsys.readouterr()
    assert "the network gives no numbers (NaN)" in said.out + said.err
    assert "Traceback" not in said.err
    if words == ["--json"] and said.out:
        json.loads(said.out, parse_constant=pytest.fail)  # NaN is no JSON


def test_explain_and_evaluate_say_it_too(run, picture, tmp_path, capsys):
    asked = ["explain", run, str(picture), "--out", str(tmp_path / "out")], ["evaluate", run, str(picture.parents[2])]
    for words in asked:
        assert main(words) == 1
        said = capsys.readouterr()
        assert "no numbers" in said.out + said.err
        assert "Traceback" not in said.err


def test_export_and_benchmark_say_it_instead_of_comparing(run, tmp_path, capsys):
    target = tmp_path / "net.safetensors"
    assert main(["export", run, "--to", "safetensors", "--out", str(target)]) == 1
    assert "the network gives no numbers (NaN)" in capsys.readouterr().err
    assert not target.exists()
    assert main(["benchmark", run, "--runtime", "torch", "--precision", "float32", "--seconds", "0.1"]) == 1
    assert "the network gives no numbers (NaN)" in capsys.readouterr().err
