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


class Last(nn.Module):
    """A layer over maps whose channels lie last in memory."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x.permute(0, 3, 1, 2))


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


# Each way in which a convolution is computed, which decides what it allocates for itself.
LAYERS = {
    "volumes over columns": (nn.Conv3d(32, 32, 3, padding=1), (1, 32, 4, 12, 12)),
    "volumes in blocks": (nn.Conv3d(32, 32, 3, padding=1), (2, 32, 4, 12, 12)),
    "one axis": (nn.Conv1d(64, 64, 9, 2, 4), (8, 64, 400)),
    "groups of eight": (nn.Conv2d(24, 24, 3, padding=1, groups=3), (2, 24, 32, 32)),
    "few channels in a group": (nn.Conv2d(64, 64, 3, padding=1, groups=16), (2, 64, 16, 16)),
    "depthwise": (nn.Conv2d(40, 40, 3, padding=1, groups=40), (2, 40, 24, 24)),
    "depthwise and wide": (nn.Conv2d(64, 64, 7, padding=3, groups=64), (2, 64, 24, 24)),
    "depthwise, channels last": (Last(nn.Conv2d(32, 32, 7, padding=3, groups=32)), (2, 16, 16, 32)),
    "patches": (nn.Conv2d(3, 64, 16, 16), (2, 3, 96, 96)),
    "strided 1 × 1": (nn.Conv2d(64, 64, 1, 2), (2, 64, 24, 24)),
    "many images 1 × 1": (nn.Conv2d(64, 64, 1), (16, 64, 12, 12)),
    "transposed": (nn.ConvTranspose2d(64, 32, 2, 2), (2, 64, 12, 12)),
    "transposed over columns": (nn.ConvTranspose2d(16, 32, 3, 2), (1, 16, 8, 8)),
    "double precision": (nn.Conv2d(16, 16, 3, padding=1).double(), (3, 16, 12, 12)),
}


@pytest.mark.parametrize("way", LAYERS)
def test_what_a_convolution_needs_for_itself(way):
    layer, size = LAYERS[way]
    weight = next(layer.parameters())
    x = torch.zeros(size, dtype=weight.dtype)
    with torch.no_grad():
        layer(x)
        measured = allocated(lambda: layer(x))
    sheet = inspect(layer, x)
    assert sheet.peak_memory == pytest.approx(measured, rel=0.05)

    def step():
        output = layer(x)
        output.backward(torch.ones_like(output))

    for _ in range(2):
        layer.zero_grad()
        measured = allocated(step)
    assert sheet.training("sgd without momentum").peak == pytest.approx(measured, rel=0.05)


def test_several_threads_copy_what_one_does_not():
    layer, x = nn.Conv2d(64, 64, 1), torch.zeros(2, 64, 24, 24)
    alone, threads = inspect(layer, x).peak_memory, torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with torch.no_grad():
            layer(x)
            measured = allocated(lambda: layer(x))
        assert alone < inspect(layer, x).peak_memory == pytest.approx(measured, rel=0.05)
    finally:
        torch.set_num_threads(threads)


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
