import json
import signal
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from convlens import networks, runs
from convlens.cli.main import main
from convlens.errors import ConvlensError
from convlens.files import cache_folder
from convlens.training import TrainConfig
from convlens.training.progress import Silence
from convlens.training.speed.numerics import lacks_to_compile
from convlens.training.state import State, load_checkpoint
from convlens.training.train import go_on, start

SMALL = {"data": "digits", "network": "lenet5", "batch": 256, "dropout": 0.3, "tune": False}


def train_and_kill(folder, name, when, settings):
    script = Path(__file__).with_name("killed.py")
    command = [sys.executable, str(script), str(folder), name, when, json.dumps(settings)]
    return subprocess.run(command, check=False).returncode


def everything_in(folder):
    """Weights and metrics of a run; speeds are no result."""
    weights = {which: load_file(folder / "weights" / f"{which}.safetensors") for which in ("best", "last")}
    rows = runs.open_folder(folder).metrics()
    return weights, [{k: v for k, v in row.items() if k != "images_per_second"} for row in rows]


def assert_same(folder, other):
    (weights, rows), (other_weights, other_rows) = everything_in(folder), everything_in(other)
    assert rows == other_rows
    for which, tensors in weights.items():
        for name, tensor in tensors.items():
            assert torch.equal(tensor, other_weights[which][name]), f"{which}: {name}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("checkpoint_steps", "killed_at"),
    # 4 steps an epoch: at two steps drawn at random, with work lost since the last checkpoint; and when an epoch has
    # ended but its checkpoint is not yet written
    [(3, [str(step) for step in sorted(Random(2).sample(range(1, 13), 2))]), (1, ["e2"])],
)
def test_a_run_that_is_killed_ends_bit_for_bit_as_if_nothing_had_been(tmp_path, checkpoint_steps, killed_at):
    settings = SMALL | {"epochs": 3, "checkpoint_steps": checkpoint_steps}
    start(TrainConfig(**settings, runs=str(tmp_path), name="whole"), Silence())
    for when in killed_at:
        assert train_and_kill(tmp_path, "killed", when, settings) == -signal.SIGKILL
    assert train_and_kill(tmp_path, "killed", "never", settings) == 0
    assert_same(tmp_path / "whole", tmp_path / "killed")


EVERYTHING = SMALL | {
    "network": "resnet20",
    "dropout": None,
    "batch": 400,
    "epochs": 2,
    "policy": "trivial",
    "jitter": 0.2,
    "mixup": 0.2,
    "cutmix": 1.0,
    "erasing": 0.2,
    "repeats": 2,
    "balance": "sampling",
    "ema": 0.99,
    "accumulate": 3,
    "recompute": True,
    "freeze_epochs": 1,
    "layer_decay": 0.8,
    "optimizer": "lamb",
    "precision": "bfloat16",
    "checkpoint_steps": 2,
    "workers": 2,
}


@pytest.mark.slow
def test_a_run_with_everything_switched_on_is_cut_at_a_step_and_ends_the_same(tmp_path):
    whole = start(TrainConfig(**EVERYTHING, runs=str(tmp_path / "whole")), Silence())
    cut = start(TrainConfig(**EVERYTHING, runs=str(tmp_path / "cut")), Interrupter(signal.SIGTERM, 5))
    assert cut.stopped_by == signal.SIGTERM
    go_on(cut.folder.path, {"workers": 0}, Silence())
    assert_same(whole.folder.path, cut.folder.path)


class Interrupter(Silence):
    def __init__(self, number, at_step):
        self.number, self.at_step, self.seen = number, at_step, 0

    def step(self, state):
        self.seen += 1
        if self.seen == self.at_step:
            # A signal that nobody waits for would end the process that runs the tests.
            assert signal.getsignal(self.number) is not signal.SIG_DFL
            signal.raise_signal(self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_after_the_step_with_a_run_that_can_be_used_and_resumed(tmp_path, number):
    config = TrainConfig(**SMALL, epochs=2, runs=str(tmp_path))
    whole = start(config, Silence())
    cut = start(config, Interrupter(number, 2))
    assert cut.stopped_by == number
    assert cut.folder.description.result["status"] == "stopped"
    assert runs.open_folder(cut.folder.path).load_network("best") is not None
    finished = go_on(cut.folder.path, {}, Silence())
    assert finished.stopped_by == 0
    assert finished.folder.description.result["status"] == "finished"
    assert_same(whole.folder.path, cut.folder.path)


def test_the_command_says_how_to_go_on_and_exits_like_the_signal(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("convlens.commands.train.choose_watcher", lambda quiet: Interrupter(signal.SIGTERM, 1))
    words = ["train", "digits", "--network", "lenet5", "--batch", "256", "--epochs", "1", "--runs", str(tmp_path)]
    assert main([*words, "--no-tune"]) == 128 + signal.SIGTERM
    assert f"convlens train --resume {tmp_path / 'digits'}" in capsys.readouterr().err
    monkeypatch.undo()
    assert main(["train", "--resume", str(tmp_path / "digits"), "--quiet"]) == 0


def test_workers_and_checkpoints_change_nothing(tmp_path):
    first = start(TrainConfig(**SMALL, epochs=1, workers=0, runs=str(tmp_path)), Silence())
    second = start(TrainConfig(**SMALL, epochs=1, workers=2, checkpoint_steps=1, runs=str(tmp_path)), Silence())
    assert_same(first.folder.path, second.folder.path)


def test_where_images_are_kept_changes_nothing_and_may_change_on_resume(tmp_path):
    for number, name in enumerate(("cat", "dog")):
        for i in range(40):
            path = tmp_path / "photos" / name / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(100 * number + i).integers(0, 256, (40, 70, 3), np.uint8)
            Image.fromarray(noise).save(path)
    settings = SMALL | {"data": str(tmp_path / "photos"), "size": 32, "batch": 16, "epochs": 2, "runs": str(tmp_path)}
    whole = start(TrainConfig(**settings, cache="none"), Silence())
    assert not (cache_folder() / "images").exists()
    cut = start(TrainConfig(**settings, cache="disk"), Interrupter(signal.SIGINT, 2))
    assert list((cache_folder() / "images").rglob("*.pixels"))
    go_on(cut.folder.path, {"cache": "memory"}, Silence())
    assert_same(whole.folder.path, cut.folder.path)


def test_the_callers_random_numbers_are_left_alone(tmp_path):
    before = torch.get_rng_state()
    start(TrainConfig(**SMALL, epochs=1, runs=str(tmp_path)), Silence())
    assert torch.equal(before, torch.get_rng_state())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    return start(TrainConfig(**SMALL, epochs=1, runs=str(folder)), Silence()).folder


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"network": "mlp"}, "made with network=lenet5 and cannot go on with network=mlp"),
        ({"epochs": 9}, "made with epochs=1 and cannot go on with epochs=9"),
        ({"seed": 1}, "seed"),
    ],
)
def test_resuming_with_other_settings_is_refused(finished, given, message):
    with pytest.raises(ConvlensError, match=message):
        go_on(finished.path, given, Silence())


def test_resuming_with_another_data_set_is_refused(finished, tmp_path):
    from PIL import Image

    for number in range(40):
        path = tmp_path / "data" / str(number % 2) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (32, 32), number).save(path)
    with pytest.raises(ConvlensError, match=r"is not the data that .* was trained on"):
        go_on(finished.path, {"data": str(tmp_path / "data")}, Silence())


def test_the_checkpoint_needs_no_pickled_code_and_says_when_it_is_truncated(finished, tmp_path):
    content = torch.load(finished.checkpoint_path, weights_only=True)
    assert {"state", "network", "optimizer"} <= set(content)
    cut = tmp_path / "checkpoint.pt"
    whole = finished.checkpoint_path.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:size])
        with pytest.raises(ConvlensError, match="is damaged, incomplete or not sealed"):
            load_checkpoint(cut, {"network": finished.build_network()}, torch.device("cpu"))


def test_a_finished_run_is_resumed_to_the_same_end(finished):
    before = everything_in(finished.path)
    go_on(finished.path, {}, Silence())
    after = everything_in(finished.path)
    assert after[1] == before[1]
    assert all(torch.equal(t, after[0]["best"][n]) for n, t in before[0]["best"].items())


def test_a_state_counts_from_its_beginning():
    state = State()
    state.finish_epoch({"epoch": 1}, kept=True, improved=True)
    state.finish_epoch({"epoch": 2}, kept=False, improved=False)
    assert (state.epoch, state.stale, state.best) == (2, 1, {"epoch": 1})
    state.finish_epoch({"epoch": 3}, kept=True, improved=False)
    assert (state.epoch, state.stale, state.best) == (3, 2, {"epoch": 3})


def test_float16_keeps_the_state_of_its_gradient_scaler(tmp_path, monkeypatch):
    """A processor computes float16 slowly, but it does; the scale is too large at first, and grows every two steps."""
    scaler = partial(torch.amp.GradScaler, init_scale=2.0**24, growth_interval=2)
    monkeypatch.setattr(torch.amp, "GradScaler", scaler)
    monkeypatch.setattr("convlens.training.speed.choosing._check", lambda *_: None)
    settings = SMALL | {"network": "mlp", "epochs": 1, "precision": "float16"}
    whole = start(TrainConfig(**settings, runs=str(tmp_path / "whole")), Silence())
    cut = start(TrainConfig(**settings, runs=str(tmp_path / "cut")), Interrupter(signal.SIGTERM, 3))
    scales = {torch.load(run.folder.checkpoint_path, weights_only=True)["scaler"]["scale"] for run in (whole, cut)}
    assert len(scales | {2.0**24}) == 3  # it has changed, and goes on changing after the cut
    go_on(cut.folder.path, {}, Silence())
    assert_same(whole.folder.path, cut.folder.path)
    scales = {torch.load(run.folder.checkpoint_path, weights_only=True)["scaler"]["scale"] for run in (whole, cut)}
    assert len(scales) == 1


@pytest.mark.slow
def test_a_compiled_run_goes_on_to_the_same_end_and_its_weights_know_nothing_of_it(tmp_path, monkeypatch):
    lacks = lacks_to_compile(torch.device("cpu"))
    if lacks:
        pytest.skip(lacks)
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "kernels"))
    settings = SMALL | {"epochs": 1, "compile": "default", "ema": 0.9}
    whole = start(TrainConfig(**settings, runs=str(tmp_path / "whole")), Silence())
    cut = start(TrainConfig(**settings, runs=str(tmp_path / "cut")), Interrupter(signal.SIGTERM, 3))
    counted = torch._dynamo.utils.counters["stats"]
    once = counted["unique_graphs"]
    torch.compiler.reset()  # what was compiled is forgotten, as by another process
    go_on(cut.folder.path, {}, Silence())
    assert (once, counted["unique_graphs"]) == (1, 2)  # for training steps only, and once more for the resumed run
    assert_same(whole.folder.path, cut.folder.path)
    weights, _ = everything_in(whole.folder.path)
    assert weights["last"].keys() == networks.create("lenet5").state_dict().keys()
