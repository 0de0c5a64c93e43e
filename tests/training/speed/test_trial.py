import pytest
import torch

from convlens.errors import ConvlensError
from convlens.training import TrainConfig
from convlens.training.material import gather
from convlens.training.speed.numerics import Numerics
from convlens.training.speed.trial import in_parts_that_fit, try_step
from convlens.training.step import Step


def fitting(limit, tried):
    def attempt(parts):
        tried.append(parts)
        if 32 / parts > limit:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return "done"

    return attempt


def test_the_parts_are_doubled_until_memory_suffices_and_it_is_said_once():
    tried, notes = [], []
    assert in_parts_that_fit(fitting(5, tried), 1, 32, notes.append) == ("done", 8)
    assert tried == [1, 2, 4, 8]
    assert notes == ["out of memory in a trial step: the batch of 32 is computed in 8 parts"]


def test_where_memory_suffices_at_once_nothing_is_said():
    notes = []
    assert in_parts_that_fit(fitting(32, []), 1, 32, notes.append) == ("done", 1)
    assert notes == []


def test_one_image_that_does_not_fit_and_other_errors_end_the_training():
    with pytest.raises(torch.OutOfMemoryError):
        in_parts_that_fit(fitting(0.5, []), 1, 32, lambda _: None)

    def broken(_):
        raise RuntimeError("sizes do not match")

    with pytest.raises(RuntimeError, match="sizes do not match"):
        in_parts_that_fit(broken, 1, 32, lambda _: None)


@pytest.mark.parametrize("works", [True, False])
def test_a_trial_step_is_a_whole_step_and_leaves_nothing_behind(monkeypatch, works):
    config = TrainConfig(data="digits", network="resnet20", batch=16, mixup=0.2, dropout=None)
    material = gather(config, lambda _: None)
    batch = next(material.train_loader.epoch(0))
    network, seen = material.network, []
    before, random = {name: t.clone() for name, t in network.state_dict().items()}, torch.get_rng_state()
    plain = Step.__call__

    def step(self, network, optimizer, x, targets, parts=1, count=None):
        loss = plain(self, network, optimizer, x, targets, parts, count)
        changed = [name for name, t in network.state_dict().items() if not torch.equal(t, before[name])]
        seen.append((self.precision, len(x), tuple(targets.shape), parts, changed, torch.rand(1)))
        if not works:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return loss

    monkeypatch.setattr(Step, "__call__", step)
    numerics = Numerics(device="cpu", threads=1, precision="bfloat16")
    if works:
        try_step(material, config, numerics, batch, 2)
    else:
        with pytest.raises(torch.OutOfMemoryError):
            try_step(material, config, numerics, batch, 2)
    precision, images, targets, parts, changed, _ = seen[0]
    assert (precision, images, targets, parts) == ("bfloat16", 16, (16, 10), 2)
    assert {name.rpartition(".")[2] for name in changed} >= {"weight", "running_mean", "num_batches_tracked"}
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(random, torch.get_rng_state())


def test_a_network_that_cannot_be_compiled_is_one_line(monkeypatch):
    config = TrainConfig(data="digits", network="lenet5", batch=16)
    material = gather(config, lambda _: None)
    batch = next(material.train_loader.epoch(0))

    def broken(*_, **__):
        raise RuntimeError("C++ compile error\nmissing Python.h")

    monkeypatch.setattr("convlens.training.speed.trial.computing", broken)
    compiled = Numerics(device="cpu", threads=1, precision="float32", compile="default")
    with pytest.raises(ConvlensError, match=r"cannot be compiled here \(C\+\+ compile error missing Python.h\); use"):
        try_step(material, config, compiled, batch, 1)
    with pytest.raises(RuntimeError, match="missing"):
        try_step(material, config, Numerics(device="cpu", threads=1, precision="float32"), batch, 1)
