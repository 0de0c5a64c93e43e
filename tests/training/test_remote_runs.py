"""Runs behind an address, here fsspec's memory, which answers as a bucket does."""

import signal

import fsspec
import pytest
import torch
from safetensors.torch import load_file

from convlens.errors import ConvlensError
from convlens.training import TrainConfig
from convlens.training.progress import Silence
from convlens.training.remote_runs import fetched, unused_name
from convlens.training.train import go_on, start

SMALL = {"data": "digits", "network": "lenet5", "batch": 400, "epochs": 2, "tune": False, "size": [16, 16]}


class Stopped(Silence):
    def step(self, state):
        if state.epoch == 1:
            signal.raise_signal(signal.SIGTERM)


@pytest.fixture
def bucket():
    yield "memory://bucket/runs"
    fsspec.filesystem("memory").rm("/bucket", recursive=True)


def test_a_run_behind_an_address_goes_on_elsewhere_to_the_same_weights(bucket, tmp_path):
    here = start(TrainConfig(**SMALL, runs=str(tmp_path), name="job"), Silence())
    stopped = start(TrainConfig(**SMALL, runs=bucket, name="job"), Stopped())
    assert (stopped.place, stopped.stopped_by) == (f"{bucket}/job", signal.SIGTERM)
    assert unused_name(bucket, "job") == "job-2"
    found = go_on(f"{bucket}/job", {}, Silence())
    assert found.folder.path != stopped.folder.path
    expected = load_file(here.folder.weights_path("last"))
    copied = load_file(fetched(f"{bucket}/job") / "weights" / "last.safetensors")
    assert all(torch.equal(tensor, copied[name]) for name, tensor in expected.items())
    kept = {path.rpartition("/job/")[2] for path in fsspec.filesystem("memory").find("/bucket")}
    assert {"run.yaml", "checkpoint.pt", "metrics.jsonl", "report.html", "weights/best.safetensors"} <= kept


def test_what_is_not_there_is_said(bucket):
    fsspec.filesystem("memory").pipe_file("/bucket/other", b"")
    with pytest.raises(ConvlensError, match="there is no run at memory://bucket/runs/nothing; give the address"):
        go_on(f"{bucket}/nothing", {}, Silence())
    with pytest.raises(ConvlensError, match=r"nowhere://runs/.* needs another package|cannot be reached"):
        start(TrainConfig(**SMALL, runs="nowhere://runs"), Silence())
