import pytest
import torch
from torch import nn

import convlens
from convlens.errors import ConvlensError
from convlens.networks import WithAuxiliary


def test_activations_are_what_the_modules_put_out():
    net = convlens.create("lenet5").eval()
    x = torch.rand(2, 1, 32, 32)
    seen = convlens.activations(net, x, at=["c1", "s2", "output"])
    assert list(seen) == ["c1", "s2", "output"]
    torch.testing.assert_close(seen["c1"], net.c1(x))
    torch.testing.assert_close(seen["s2"], net.s2(net.relu(net.c1(x))))
    torch.testing.assert_close(seen["output"], net(x))


def test_a_later_in_place_relu_does_not_change_them():
    net = nn.Sequential(nn.MaxPool2d(1), nn.ReLU(inplace=True))
    with torch.no_grad():
        seen = convlens.activations(net, torch.linspace(-1, 1, 81).reshape(1, 1, 9, 9), at=["0", "1"])
    assert seen["0"].min() < 0
    torch.testing.assert_close(seen["1"], seen["0"].relu())


def test_the_network_stays_as_it_was():
    net = convlens.create("resnet20")
    assert net.training
    convlens.activations(net, torch.zeros(2, 3, 32, 32))
    assert net.training
    assert not any(module._forward_hooks for module in net.modules())
    with pytest.raises(RuntimeError):
        convlens.activations(net, torch.zeros(2, 5, 32, 32))
    assert not any(module._forward_hooks for module in net.modules())


def test_gradients_flow_through_activations():
    net = convlens.create("lenet5")
    seen = convlens.activations(net, torch.rand(1, 1, 32, 32), at=["c3"])
    seen["c3"].sum().backward()
    assert net.c1.weight.grad.abs().sum() > 0


def test_every_leaf_is_given_when_no_name_is():
    net = nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 3)), nn.ReLU())
    assert list(convlens.activations(net, torch.zeros(1, 1, 5, 5))) == ["0.0", "1"]


def test_outputs_that_are_no_tensors_keep_their_form():
    net = convlens.create("googlenet_2014", classes=3, size=(96, 96))
    with torch.no_grad():
        output = convlens.activations(net, torch.zeros(2, 3, 96, 96), at=[""])[""]
    assert isinstance(output, WithAuxiliary)
    assert output.logits.shape == output.auxiliary[0].shape == (2, 3)


def test_an_unknown_module_gets_the_nearest_names():
    with pytest.raises(ConvlensError, match="unknown module 'layer5'; did you mean layer"):
        convlens.activations(convlens.create("resnet20"), torch.zeros(1, 3, 32, 32), at=["layer5"])


def test_a_module_that_is_not_called_is_named():
    net = nn.Module()
    net.used, net.unused = nn.ReLU(), nn.ReLU()
    net.forward = lambda x: net.used(x)
    with pytest.raises(ConvlensError, match="did not call: unused; leave them out"):
        convlens.activations(net, torch.zeros(1), at=["used", "unused"])


def test_one_name_is_enough():
    assert list(convlens.activations(convlens.create("lenet5"), torch.zeros(1, 1, 32, 32), at="c3")) == ["c3"]
