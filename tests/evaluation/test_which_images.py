"""Which images are measured, where the data say and where they do not."""

import json

import pytest
from PIL import Image

import convlens
from convlens.cli.main import main
from convlens.evaluation.evaluation import usual_split


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("flat")
    digits = convlens.data.open_dataset("digits")
    for folder, first, count in (("own", 0, 40), ("other", 60, 10)):
        for name in "012":
            (root / folder / name).mkdir(parents=True)
            records = [record for record in digits.records("all") if record.label == name][first : first + count]
            for record in records:
                Image.fromarray(digits.read(record)[:, :, 0]).save(root / folder / name / f"{record.key[7:]}.png")
    settings = {"network": "lenet5", "epochs": 1, "tune": False, "runs": str(root / "runs"), "quiet": True}
    return root, convlens.train(str(root / "own"), **settings)


def measured(capsys, *words):
    assert main(["evaluate", *map(str, words), "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    return done["split"], done["images"]


def test_of_other_data_without_splits_all_is_measured(trained, capsys):
    root, run = trained
    assert measured(capsys, run.path, root / "other") == ("all", 30)
    assert measured(capsys, run.path, root / "other", "--split", "test") == ("test", 3)
    assert run.evaluate(root / "other").images == 30


def test_of_the_trainings_own_data_the_test_split_is_measured_wherever_they_lie(trained, tmp_path, capsys):
    root, run = trained
    assert measured(capsys, run.path) == ("test", 12)
    assert measured(capsys, run.path, root / "own") == ("test", 12)
    (tmp_path / "moved").symlink_to(root / "own")
    assert measured(capsys, run.path, tmp_path / "moved") == ("test", 12)
    artifact = run.export("safetensors", out=tmp_path / "digits.safetensors")
    assert measured(capsys, artifact.path, root / "own") == ("test", 12)
    assert measured(capsys, artifact.path, root / "other") == ("all", 30)


def test_data_of_an_unknown_training_are_measured_in_full_even_from_inside_them(trained, monkeypatch):
    """An empty name of the training's data is no path, though it would resolve to the folder one stands in."""
    root, _ = trained
    monkeypatch.chdir(root / "other")
    assert usual_split(convlens.data.open_dataset(str(root / "other")), "", "another fingerprint") == "all"
