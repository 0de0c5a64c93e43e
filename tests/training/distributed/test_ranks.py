import json
import signal

import pytest
import torch
from safetensors.torch import load_file

from convlens import runs
from convlens.training import TrainConfig
from convlens.training.progress import Silence
from convlens.training.train import go_on, start

STOPPED = str(int(signal.SIGTERM))


@pytest.fixture
def trained(together):
    return together / "runs"


def weights_of(folder):
    return load_file(folder / "weights" / "last.safetensors")


def assert_close(folder, other, tolerance, figures_within=1e-4):
    ours, theirs = weights_of(folder), weights_of(other)
    for name, tensor in ours.items():
        torch.testing.assert_close(
            tensor, theirs[name], rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )
    rows, other_rows = runs.open_folder(folder).metrics(), runs.open_folder(other).metrics()
    for row, other_row in zip(rows, other_rows, strict=True):
        figures = row.keys() - {"images_per_second"}
        assert {k: row[k] for k in figures} == pytest.approx({k: other_row[k] for k in figures}, abs=figures_within)


@pytest.mark.slow
def test_every_training_ended_as_it_should(said):
    for rank in range(2):
        code, out, err = said("trained", rank)
        assert code == "0", err
        assert out.split() == [STOPPED] * 3 + ["0"] * 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "tolerance", "figures_within"),
    [
        ("plain", 2e-5, 1e-4),
        ("norms", 2e-4, 0.02),  # a rounding error can decide what an untrained network answers for an image
    ],
)
def test_two_processes_give_the_weights_and_figures_of_one(
    together, trained, tmp_path, name, tolerance, figures_within
):
    settings = json.loads((together / "trainings.json").read_text())[name]
    alone = start(TrainConfig(**settings, runs=str(tmp_path), name="alone"), Silence()).folder.path
    assert_close(trained / name, alone, tolerance, figures_within)


@pytest.mark.slow
def test_two_processes_that_keep_a_share_of_the_network_each_stop_and_go_on_to_the_same_weights(trained):
    assert_close(trained / "sharded", trained / "plain", 2e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "whole"), [("stopped", "plain"), ("piped and stopped", "piped")])
def test_two_processes_that_one_signal_stopped_go_on_bit_for_bit(trained, name, whole):
    expected, found = weights_of(trained / whole), weights_of(trained / name)
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


@pytest.mark.slow
def test_one_process_goes_on_with_what_two_began(trained):
    go_on(trained / "for one", {}, Silence())
    assert_close(trained / "for one", trained / "plain", 2e-5)
