import pytest
import torch
from torch import nn
from torch.nn.grad import conv2d_weight

from convlens.training.speed.depthwise import fast_depthwise
from convlens.training.speed.narrow_maps import narrow_maps_in_float32

CHANNELS = 32


def poison(size):
    """Leave memory behind that holds NaN, for whoever forgets to write what it allocates."""
    for room in [torch.full((size + spare,), float("nan")) for spare in range(0, 4000, 500)]:
        del room


@pytest.mark.parametrize("groups", [1, CHANNELS])
@pytest.mark.parametrize(("height", "width", "stride"), [(1, 1, 2), (4, 1, 2), (2, 2, 3), (1, 3, 2)])
def test_the_gradient_of_a_map_narrower_than_the_stride_is_written(groups, height, width, stride):
    torch.manual_seed(0)
    layer = nn.Conv2d(CHANNELS, CHANNELS, 3, stride, 1, groups=groups, bias=True)
    network = nn.Sequential(layer)
    x = torch.randn(16, CHANNELS, height, width)
    for half in (False, True, False, True):
        poison(layer.weight.numel() // (2 if half else 1))
        layer.zero_grad()
        with fast_depthwise(network), narrow_maps_in_float32(network), torch.autocast("cpu", torch.bfloat16):
            y = network(x)
        gradient = torch.ones(y.shape)
        y.backward(gradient.to(y.dtype))
        expected = conv2d_weight(x.double(), layer.weight.shape, gradient.double(), stride, 1, 1, groups)
        torch.testing.assert_close(
            layer.weight.grad.double(), expected, rtol=0, atol=0.02 * float(expected.abs().max())
        )
    assert type(layer) is nn.Conv2d
