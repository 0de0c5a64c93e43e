"""What `convlens train` and `convlens evaluate` print about a run, whatever people call things."""

import json
import shlex
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import convlens
from convlens.cli.main import main
from convlens.training.progress import Bar, Plan


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for label, value in [("[red]c", 60), ("кошка", 180)]:
        (tmp_path / "my photos" / label).mkdir(parents=True)
        for number in range(8):
            pixels = np.full((8, 8, 3), value + number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "my photos" / label / f"{number}.png")
    return "my photos"


def test_a_run_is_given_as_json_and_its_class_names_are_no_markup(photos, capsys):
    words = ["train", photos, "--network", "mlp", "--epochs", "1", "--batch", "4", "--no-tune", "--json"]
    assert main(words) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["run"] == "runs/train/my photos"
    assert shown["status"] == "finished"
    assert main(["evaluate", shown["run"], "--split", "all"]) == 0
    assert "[red]c" in capsys.readouterr().out
    assert repr(convlens.open_run(shown["run"])).startswith(
        "Run('runs/train/my photos': mlp, 2 classes, 28×28×3, finished"
    )


def test_the_command_that_goes_on_can_be_pasted(photos, capsys, monkeypatch):
    stopped = SimpleNamespace(place="runs/train/my photos", stopped_by=15)
    monkeypatch.setattr("convlens.commands.train.start", lambda *_: stopped)
    assert main(["train", photos]) == 143
    command = capsys.readouterr().err.strip().removeprefix("stopped; go on with: ")
    assert shlex.split(command) == ["convlens", "train", "--resume", "runs/train/my photos"]


def test_the_bar_is_full_when_the_last_epoch_is_done():
    from rich.console import Console

    bar = Bar(Console(quiet=True))
    with bar:
        bar.begin(Plan(epochs=2, steps=7, batch=1, done=0))
        bar.epoch({"epoch": 2, "loss": 0.5, "images_per_second": 1.0}, better=False)
        assert bar.progress.finished
