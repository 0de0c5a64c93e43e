"""Networks that nobody would draw, against PyTorch in float64: whatever is planned must answer the same."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import convlens

pytest.importorskip("convlens_kernels")

ACTIVATIONS = (F.relu, F.relu6, F.silu, F.hardswish, F.gelu, torch.sigmoid, torch.tanh, lambda x: F.leaky_relu(x, 0.2))


class Drawn(nn.Module):
    """Steps, each from a map among those made so far to a new one; the answer is made of the last ones."""

    def __init__(self, draw):
        super().__init__()
        self.layers, self.steps = nn.ModuleList(), []
        shapes = [(draw(st.integers(1, 5)), draw(st.integers(6, 13)), draw(st.integers(5, 12)))]
        self.size = shapes[0]
        for _ in range(draw(st.integers(1, 9))):
            source = draw(st.integers(0, len(shapes) - 1))
            step, shape = self._step(draw, shapes, source)
            self.steps.append(step)
            shapes.append(shape)
        self.ending = draw(st.sampled_from(["map", "mean", "both"]))

    def _step(self, draw, shapes, source):
        channels, height, width = shapes[source]
        kind = draw(st.sampled_from(["conv", "conv", "depthwise", "pool", "norm", "act", "add", "gate", "cat", "take"]))
        alike = [i for i, shape in enumerate(shapes) if shape == shapes[source]]
        beside = [i for i, shape in enumerate(shapes) if shape[1:] == (height, width)]
        if kind in ("conv", "depthwise"):
            kernel = min(draw(st.sampled_from([1, 3, 5])), height, width)
            stride, padding = draw(st.sampled_from([1, 1, 2])), draw(st.integers(0, kernel // 2))
            out = channels if kind == "depthwise" else draw(st.sampled_from([1, 3, 8, 16, 17, 32, 40]))
            groups = channels if kind == "depthwise" else 1
            if kind == "conv" and channels % 2 == 0 and out % 2 == 0:
                groups = draw(st.sampled_from([1, 1, 2]))
            bias = draw(st.booleans())
            layer = nn.Conv2d(channels, out, kernel, stride, padding, groups=groups, bias=bias)
            return self._module(source, layer), (out, *(
                (side + 2 * padding - kernel) // stride + 1 for side in (height, width)
            ))  # fmt: skip
        if kind == "pool" and min(height, width) >= 2:
            layer = draw(st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]))(2, draw(st.sampled_from([1, 2])))
            return self._module(source, layer), (channels, *((s - 2) // layer.stride + 1 for s in (height, width)))
        if kind == "norm":
            return self._module(source, nn.BatchNorm2d(channels)), shapes[source]
        if kind == "add":
            other = draw(st.sampled_from(alike))
            return (lambda maps: maps[source] + maps[other]), shapes[source]
        if kind == "gate":
            reduced = nn.Conv2d(channels, channels, 1)
            index = self._index(reduced)
            return (
                lambda maps: maps[source] * torch.sigmoid(self.layers[index](maps[source].mean((2, 3), keepdim=True)))
            ), shapes[source]
        if kind == "cat":
            other = draw(st.sampled_from(beside))
            return (lambda maps: torch.cat([maps[source], maps[other]], 1)), (
                channels + shapes[other][0], height, width,
            )  # fmt: skip
        if kind == "take" and channels > 1:
            first = draw(st.integers(0, channels - 1))
            last = draw(st.integers(first + 1, channels))
            return (lambda maps: maps[source][:, first:last]), (last - first, height, width)
        activation = draw(st.sampled_from(ACTIVATIONS))
        return (lambda maps: activation(maps[source])), shapes[source]

    def _index(self, layer):
        self.layers.append(layer)
        return len(self.layers) - 1

    def _module(self, source, layer):
        index = self._index(layer)
        return lambda maps: self.layers[index](maps[source])

    def forward(self, x):
        maps = [x]
        for step in self.steps:
            maps.append(step(maps))
        if self.ending == "map":
            return maps[-1]
        means = [each.mean((2, 3)) for each in maps[-3:]]
        return means[-1] if self.ending == "mean" else torch.cat(means, 1)


def lively(network):
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.6, 1.4)
    return network.eval()


@settings(max_examples=12, deadline=None, derandomize=True)
@given(data=st.data(), seed=st.integers(0, 2**20))
def test_a_drawn_network_answers_as_in_torch(data, seed):
    torch.manual_seed(seed)
    network = lively(Drawn(data.draw))
    x = torch.randn(3, *network.size)
    with torch.no_grad():
        expected = network.double()(x.double()).numpy()
        network.float()
    scale = np.abs(expected).max() + 1e-3
    compiled = convlens.compile(network, network.size, tune=False, threads=data.draw(st.sampled_from([1, 2])))
    found = compiled(x.numpy())
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 2e-5 * scale
    whole = convlens.compile(network, network.size, precision="int8", calibration=x.numpy(), tune=False, threads=1)
    assert np.abs(whole(x.numpy()) - expected).max() <= 0.25 * scale
