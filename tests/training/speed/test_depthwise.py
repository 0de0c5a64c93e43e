import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convlens.training.speed.depthwise import FastDepthwiseConv2d, depthwise_gradients, fast_depthwise


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 1), (2, 1)])
@pytest.mark.parametrize("size", [(7, 7), (8, 9)])
def test_the_gradients_are_those_of_torch(kernel, stride, padding, size):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, *size, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 1, kernel, kernel, generator=generator, dtype=torch.float64, requires_grad=True)
    y = F.conv2d(x, weight, None, stride, padding, 1, 4)
    gradient = torch.randn(y.shape, generator=generator, dtype=torch.float64)
    expected = torch.autograd.grad(y, (x, weight), gradient)
    with torch.no_grad():
        found = depthwise_gradients(x, weight, gradient, stride, padding)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_network_is_put_back_as_it_was_and_computes_the_same_in_bfloat16():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 5, stride=2, padding=2, groups=8, bias=False), nn.Conv2d(8, 4, 1)
    )
    network = network.to(memory_format=torch.channels_last)
    plain = copy.deepcopy(network)
    x = torch.randn(2, 3, 16, 16).contiguous(memory_format=torch.channels_last)

    def gradients(module):
        with torch.autocast("cpu", torch.bfloat16):
            loss = module(x).float().square().mean()
        return torch.autograd.grad(loss, list(module.parameters()))

    with fast_depthwise(network) as count:
        assert count == 1
        assert isinstance(network[1], FastDepthwiseConv2d)
        assert list(network.state_dict()) == list(plain.state_dict())
        found = gradients(network)
    assert type(network[1]) is nn.Conv2d
    for ours, theirs in zip(found, gradients(plain), strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, rtol=0.05, atol=0.02 * float(theirs.abs().max()))
    with fast_depthwise(network):  # float32 is left to torch, to the bit
        assert torch.equal(network(x), plain(x))


def test_convolutions_that_gain_nothing_are_left_alone():
    plain = [
        nn.Conv2d(8, 8, 3, groups=8),
        nn.Conv2d(8, 16, 5, groups=8),
        nn.Conv2d(8, 8, 5, groups=4),
        nn.Conv2d(8, 8, 5, groups=8, dilation=2),
        nn.Conv2d(8, 8, 5, groups=8, padding="same"),
        nn.Conv2d(8, 8, 5, groups=8, padding=2, padding_mode="reflect"),
    ]
    with fast_depthwise(nn.ModuleList(plain)) as count:
        assert count == 0
