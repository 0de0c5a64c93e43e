"""Weights from one half of the digits, in the layout of published weights, help on the other half."""

from collections.abc import Mapping
from pathlib import Path
from statistics import mean

import pytest
import torch
from PIL import Image

from convlens import data
from convlens.training.progress import Silence
from convlens.training.settings import settle
from convlens.training.train import start

MOST = {"train": 12, "val": 5, "test": 30}  # images of each class to learn the second half from and to test it with
COMMON = {"network": "resnet20", "size": 32, "channels": 1, "batch": 20, "tune": False, "threads": 1}


def write_half(folder: Path, labels: str, most: Mapping[str, int]) -> str:
    """Digits of some classes as a folder of PNG files, at most so many of each class in each split."""
    digits = data.open_dataset("digits")
    for split in ("train", "val", "test"):
        written = dict.fromkeys(labels, 0)
        for record in digits.records(split):
            if record.label in labels and written[record.label] < most.get(split, 1000):
                written[record.label] += 1
                path = folder / split / record.label / f"{Path(record.key).name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(digits.read(record, channels=1)[:, :, 0]).save(path)
    return str(folder)


@pytest.mark.slow
def test_fine_tuning_beats_scratch_at_the_same_epochs_over_seeds(tmp_path):
    first = write_half(tmp_path / "first", "01234", {})
    second = write_half(tmp_path / "second", "56789", MOST)
    before = start(settle(COMMON | {"data": first, "epochs": 5, "runs": str(tmp_path)}), Silence()).folder
    weights = tmp_path / "half.pth"  # as published weights come: a state dict, whose head has other classes
    torch.save(before.load_network().state_dict(), weights)

    def accuracy(seed, **settings):
        given = COMMON | {"data": second, "epochs": 12, "seed": seed, "runs": str(tmp_path)} | settings
        return start(settle(given), Silence()).folder.description.result["held_out"]["top1"]

    scratch = [accuracy(seed, recipe="scratch") for seed in range(3)]
    tuned = [accuracy(seed, weights=str(weights)) for seed in range(3)]
    assert mean(tuned) > mean(scratch) + 0.05, (tuned, scratch)
