"""Early stopping. Training is real; the validation figures are scripted, so that each epoch's rank is known."""

import signal

import pytest
import torch
from safetensors.torch import load_file

from convlens.training import TrainConfig, loop
from convlens.training.progress import Silence
from convlens.training.train import go_on, start

STEPS = 4  # an epoch: 1,257 digits in batches of 256
SMALL = {"data": "digits", "network": "lenet5", "batch": 256, "epochs": 7, "precision": "float32", "threads": 1}
# The second epoch is the best of the first five. One standard error is 3.6 points there, so the fifth is kept by top1.
TOP1 = [0.5, 0.7, 0.6, 0.6, 0.67, 0.9, 0.9]
LOG_LOSS = [1.0, 0.9, 0.8, 0.7, 0.95, 0.6, 0.5]  # the fourth is the best of the first five


@pytest.fixture(autouse=True)
def scripted(monkeypatch):
    monkeypatch.setattr("convlens.training.train._measure", lambda folder, job: folder)  # no report: it takes longest
    real = loop._row
    monkeypatch.setattr(
        loop,
        "_row",
        lambda job, state: real(job, state) | {"val_top1": TOP1[state.epoch], "val_log_loss": LOG_LOSS[state.epoch]},
    )


class Keeper(Silence):
    """Keeps each epoch's weights, and stops after so many steps as Ctrl-C would."""

    def __init__(self, stop_at=0):
        self.folder, self.weights, self.steps, self.stop_at = None, [], 0, stop_at

    def step(self, state):
        self.steps += 1
        if self.steps == self.stop_at:
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
            signal.raise_signal(signal.SIGINT)

    def epoch(self, row, kept):
        self.weights.append(load_file(self.folder / "weights" / "last.safetensors"))


def train(folder, watcher, **settings):
    watcher.folder = folder / "stopped"
    return start(TrainConfig(**SMALL, **settings, runs=str(folder), name="stopped"), watcher)


def same(ours, theirs):
    return all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


@pytest.mark.parametrize(
    ("settings", "epochs", "best"),
    [
        ({"patience": 2}, 4, 2),
        ({"patience": 3}, 5, 5),
        ({"patience": 1, "monitor": "log_loss"}, 5, 4),
        ({"patience": 4}, 7, 7),  # the sixth is better just in time, the seventh has the smaller loss
    ],
)
def test_training_stops_after_so_many_epochs_without_a_better_one_and_keeps_the_best(tmp_path, settings, epochs, best):
    kept = Keeper()
    outcome = train(tmp_path, kept, **settings)
    result = outcome.folder.description.result
    assert (result["status"], result["epochs"], result["best_epoch"]) == ("finished", epochs, best)
    assert len(outcome.folder.metrics()) == epochs
    weights = load_file(outcome.folder.weights_path("best"))
    assert [same(weights, each) for each in kept.weights] == [epoch == best for epoch in range(1, epochs + 1)]


def test_a_run_that_was_cut_stops_at_the_same_epoch_with_the_same_weights(tmp_path):
    whole = train(tmp_path / "whole", Keeper(), patience=3).folder
    stopped = train(tmp_path / "cut", Keeper(stop_at=3 * STEPS + 2), patience=3)
    assert stopped.stopped_by == signal.SIGINT
    resumed = go_on(stopped.folder.path, {}, Silence())
    assert resumed.folder.description.result["epochs"] == 5
    for which in ("best", "last"):
        assert same(load_file(whole.weights_path(which)), load_file(resumed.folder.weights_path(which)))
    again = go_on(stopped.folder.path, {}, Silence())  # a run that has stopped has nothing left to do
    assert again.folder.description.result["epochs"] == 5
