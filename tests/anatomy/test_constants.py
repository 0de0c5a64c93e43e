"""Constants are worked out once, and not at all where they can only be parameters."""

import pytest
import torch
from torch import nn

from convlens.anatomy.receptive.constants import Constants
from convlens.graph import record


class Biased(nn.Module):
    """Attention scores with one bias for all layers, as masks and relative positions are."""

    def __init__(self, kind):
        super().__init__()
        self.table = nn.Parameter(torch.rand(2, 9))
        self.register_buffer("places", torch.randint(9, (5, 5)))
        self.kind = kind

    def forward(self, x):
        bias = {
            "moved": lambda: self.table[:, self.places].permute(1, 2, 0)[None],
            "computed": lambda: 16 * torch.sigmoid(self.table[:, self.places])[None],
            "masked": lambda: torch.full((5, 5), float("-inf")).triu(1) + self.table[0, self.places],
        }[self.kind]()
        return (x + bias) + bias


@pytest.fixture
def computed(monkeypatch):
    found = []
    plainly = Constants._computed
    monkeypatch.setattr(Constants, "_computed", lambda self, *given: found.append(given[0]) or plainly(self, *given))
    return found


@pytest.mark.parametrize(
    ("kind", "shape", "times"), [("moved", (5, 5, 2), 0), ("computed", (2, 5, 5), 1), ("masked", (5, 5), 2)]
)
def test_a_bias_that_layers_share_is_worked_out_once(kind, shape, times, computed):
    graph = record(Biased(kind), shape)
    adds = [each for each in graph.operations if each.kind == "add"][-2:]
    bias = adds[0].arguments[1].tensor
    constants = Constants(graph)
    fixed = [constants.always(bias, each.index, float("-inf")) for each in adds]
    assert len(computed) == times
    expected = torch.ones(5, 5, dtype=torch.bool).triu(1)
    assert all(torch.equal(each, expected) if kind == "masked" else each is None or not each.any() for each in fixed)
