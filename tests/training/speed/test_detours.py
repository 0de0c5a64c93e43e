import pytest
import torch
from torch import nn

from convlens import networks
from convlens.networks.resnet_cifar import CifarBlock
from convlens.training.speed.detours import DirectAverage, direct_averages, direct_shortcuts, silus_out_of_place


def gradients(network, way, precision, side=32):
    torch.manual_seed(0)
    x = torch.randn(4, 3, side, side).contiguous(memory_format=torch.channels_last).requires_grad_()
    network.zero_grad()
    with way(network), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        y = network(x)
        y.float().square().sum().backward()
    return [y.detach(), x.grad, *(p.grad for p in network.parameters())]


class Excited(nn.Module):
    """Squeeze-and-excitation twice."""

    def __init__(self):
        super().__init__()
        self.before = nn.Conv2d(3, 8, 3)
        self.pools = nn.ModuleList(nn.AdaptiveAvgPool2d(1) for _ in range(2))
        self.after = nn.Conv2d(8, 8, 1)

    def forward(self, x):
        x = self.before(x)
        for pool in self.pools:
            x = x * torch.sigmoid(self.after(pool(x)))
        return x


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_direct_gradient_of_an_average_is_that_of_torch(precision):
    torch.manual_seed(0)
    network = Excited()
    theirs = gradients(network, silus_out_of_place, precision)
    ours = gradients(network, direct_averages, precision)
    for one, other in zip(theirs, ours, strict=True):
        scale = float(one.abs().max())
        torch.testing.assert_close(one, other, rtol=0, atol=scale * (1e-5 if precision == "float32" else 2e-2))


def test_silu_out_of_place_changes_no_bit():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.SiLU(inplace=True), nn.Conv2d(8, 4, 3))
    theirs = gradients(network, direct_averages, "bfloat16")
    ours = gradients(network, silus_out_of_place, "bfloat16")
    assert all(torch.equal(one, other) for one, other in zip(theirs, ours, strict=True))


def test_a_network_is_put_back_as_it_was():
    network = networks.create("efficientnet_b0", classes=10)
    before = [(type(module), getattr(module, "inplace", None)) for module in network.modules()]
    with direct_averages(network) as count, silus_out_of_place(network):
        assert count == 17  # sixteen blocks and the end
        assert sum(type(module) is DirectAverage for module in network.modules()) == 17
        assert not any(module.inplace for module in network.modules() if isinstance(module, nn.SiLU))
    assert [(type(module), getattr(module, "inplace", None)) for module in network.modules()] == before


def test_a_network_whose_only_average_is_its_end_gains_nothing():
    with direct_averages(networks.create("resnet18", classes=10)) as count:
        assert count == 0
    with direct_averages(nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.AdaptiveAvgPool2d(1))) as count:
        assert count == 0


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_gradient_of_a_shortcut_is_that_of_torch_to_the_bit_and_lies_as_its_map_does(precision):
    torch.manual_seed(0)
    block = CifarBlock(channels=3, width=8, stride=2)
    theirs = gradients(block, silus_out_of_place, precision, side=7)
    ours = gradients(block, direct_shortcuts, precision, side=7)
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    x = torch.randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last).requires_grad_()
    with direct_shortcuts(block) as count:
        block.shortcut(x).sum().backward()
    assert count == 1
    assert type(block) is CifarBlock
    assert x.grad.is_contiguous(memory_format=torch.channels_last)
