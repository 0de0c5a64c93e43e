"""Predicted bytes against the count of torch's own allocator on the CPU."""

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

import convlens
from convlens.anatomy import inspect, training_memory
from convlens.errors import ConvlensError


def allocated(work):
    """The most bytes above the start that the allocator handed out at any moment."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        work()
    total = peak = 0
    for event in recorded.profiler.kineto_results.events():
        if event.name() == "[memory]":
            total += event.nbytes()
            peak = max(peak, total)
    return peak


FAMILIES = [
    ("lenet5", (4, 1, 32, 32)),
    ("alexnet", (2, 3, 224, 224)),
    ("vgg11", (2, 3, 64, 64)),
    ("googlenet", (2, 3, 96, 96)),
    ("resnet18", (2, 3, 96, 96)),
    ("efficientnet_b0", (2, 3, 96, 96)),
]


@pytest.mark.parametrize(("name", "size"), FAMILIES)
def test_peak_of_an_inference(name, size):
    net = convlens.create(name).eval()
    x = torch.zeros(size)
    with torch.no_grad():
        net(x)
        measured = allocated(lambda: net(x))
    assert inspect(net, size).peak_memory == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize(("name", "size"), FAMILIES)
def test_peak_of_a_training_step(name, size):
    net = convlens.create(name).train()
    x = torch.zeros(size)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0, momentum=0.9)

    def step():
        output = net(x)
        optimizer.zero_grad()
        scores = [output] if isinstance(output, torch.Tensor) else [output.logits, *output.auxiliary]
        torch.autograd.backward(scores, [torch.ones_like(each) for each in scores])
        optimizer.step()
        optimizer.zero_grad()

    step()
    state = sum(parameter.nbytes for parameter in net.parameters())
    measured = allocated(step) + state
    memory = inspect(net, size).training("sgd")
    assert memory.total == pytest.approx(measured, rel=0.1)
    assert memory.gradients == memory.optimizer == state
    assert 0 < memory.saved < memory.peak


def test_training_memory_leaves_the_module_alone():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    parameters = list(net.parameters())
    assert inspect(net, (3, 8, 8)).training_memory > 0
    assert not net.training
    assert all(one is other and one.grad is None for one, other in zip(net.parameters(), parameters, strict=True))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_frozen_network_and_an_unknown_optimiser_are_refused():
    net = nn.Linear(3, 3)
    with pytest.raises(ConvlensError, match="unknown optimizer 'adamv'"):
        training_memory(net, (3,), optimizer="adamv")
    net.requires_grad_(False)
    with pytest.raises(ConvlensError, match="not trained"):
        training_memory(net, (3,))
