import json
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from convlens import runs
from convlens.training import TrainConfig
from convlens.training.progress import Silence
from convlens.training.train import go_on, start

# Mixed images and a batch that two processes cannot halve, so that whatever depends on the place in a batch is seen.
PLAIN = {
    "data": "digits",
    "network": "lenet5",
    "batch": 301,
    "epochs": 2,
    "tune": False,
    "optimizer": "sgd",
    "mixup": 0.4,
    "cutmix": 1.0,
    "erasing": 0.3,
    "ema": 0.9,
    "augment": "none",
    "size": [32, 28],
}
# One step: after it a rounding may be enough to switch a ReLU, and no tolerance would be small.
NORMS = PLAIN | {"network": "resnet20", "epochs": 1, "batch": 1201, "size": [8, 9], "sync_batch_norm": True}


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


@pytest.fixture(scope="module")
def together(tmp_path_factory, start_together):
    folder = tmp_path_factory.mktemp("together")
    (folder / "trainings.json").write_text(json.dumps({"plain": PLAIN, "norms": NORMS}))
    codes, out, err = start_together(2, [Path(__file__).with_name("trained_together.py"), folder])
    assert codes == [0, 0], err
    assert [text.split() for text in out] == [[str(int(signal.SIGTERM)), "0"]] * 2
    return folder / "together"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings", "tolerance", "figures_within"),
    [
        ("plain", PLAIN, 2e-5, 1e-4),
        ("norms", NORMS, 2e-4, 0.02),  # a rounding error can decide what an untrained network answers for an image
    ],
)
def test_two_processes_give_the_weights_and_figures_of_one(
    together, tmp_path, name, settings, tolerance, figures_within
):
    alone = start(TrainConfig(**settings, runs=str(tmp_path), name="alone"), Silence()).folder.path
    assert_close(together / name, alone, tolerance, figures_within)


@pytest.mark.slow
def test_two_processes_that_keep_a_share_of_the_network_each_stop_and_go_on_to_the_same_weights(together):
    assert_close(together / "sharded", together / "plain", 2e-5)


@pytest.mark.slow
def test_two_processes_that_one_signal_stopped_go_on_bit_for_bit(together):
    whole, stopped = weights_of(together / "plain"), weights_of(together / "stopped")
    assert all(torch.equal(tensor, stopped[name]) for name, tensor in whole.items())


@pytest.mark.slow
def test_one_process_goes_on_with_what_two_began(together):
    go_on(together / "for one", {}, Silence())
    assert_close(together / "for one", together / "plain", 2e-5)
