"""The effective receptive field, where its figures follow from the weights."""

import torch
from torch import nn

from convlens.anatomy import inspect
from convlens.anatomy.effective import effective_receptive_field


def test_the_area_holds_two_sigma_of_the_squared_gradients():
    """A 3×5 kernel with one weight of 10 and 14 of 1: 95.45 % of 114 are reached by the large one and 9 others."""
    layer = nn.Conv2d(1, 1, (3, 5), bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)[0, 0, 1, 2] = 10.0
    field = effective_receptive_field(inspect(nn.Sequential(layer), (1, 9, 12)), "0", count=2)
    assert field.inside == 1
    assert field.area == 10 / 15
