"""The effective receptive field, where its figures follow from the weights."""

import pytest
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


class Laid(nn.Module):
    """A convolution whose map leaves in another form: channels last, or as tokens that a linear layer reads."""

    def __init__(self, form):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.form = form
        self.out = nn.Identity() if form == "channels last" else nn.Linear(4, 4)
        nn.init.zeros_(getattr(self.out, "bias", torch.zeros(())))

    def forward(self, x):
        x = self.stem(x)
        return self.out(x.permute(0, 2, 3, 1) if self.form == "channels last" else x.flatten(2).transpose(1, 2))


@pytest.mark.parametrize("form", ["channels last", "tokens"])
def test_the_measured_unit_is_the_one_that_is_asked_for(form):
    sheet = inspect(Laid(form), (3, 12, 17))
    field = effective_receptive_field(sheet, "out", (1, 6), count=2)
    assert (field.field.rows, field.field.columns) == ((1, 3), (11, 13))
    assert field.inside == pytest.approx(1)
    assert field.magnitude[1:4, 11:14].all()
    assert field.silent == ()  # a bias of zeros scales nothing


def test_branches_that_a_zero_scales_are_named():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.branch = nn.Sequential(nn.Conv2d(3, 3, 5, padding=2), nn.BatchNorm2d(3))
            nn.init.zeros_(self.branch[1].weight)

        def forward(self, x):
            return x + self.branch(x)

    field = effective_receptive_field(inspect(nn.Sequential(Residual()), (3, 9, 8)), "0", (4, 4), count=2)
    assert field.silent == ("0.branch.1.weight",)
    assert "all zero, so the branches that they scale add nothing yet" in str(field)
    assert field.area == 1 / 25
