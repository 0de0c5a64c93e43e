"""Operators read by name: the layers of a graph say what their modules say, whatever order arguments came in."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from convlens.graph import record
from convlens.graph.operators import (
    FAMILIES,
    AdaptivePool,
    Convolution,
    Norm,
    Pool,
    arguments_of,
    family,
    is_pointwise,
)


class Doing(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self._forward = forward

    def forward(self, x):
        return self._forward(x)


def only(forward, family_, size=(6, 9, 12)):
    """The one operation of that family and the graph it is in."""
    graph = record(forward if isinstance(forward, nn.Module) else Doing(forward), size)
    (found,) = [each for each in graph.operations if family(each) == family_]
    return found, graph


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(6, 4, (3, 5), stride=(1, 2), padding=(2, 1), dilation=(2, 1), groups=2),
        nn.Conv2d(6, 6, 3, groups=6, bias=False),
        nn.ConvTranspose2d(6, 4, (2, 3), stride=(3, 2), padding=1, output_padding=(1, 0), groups=2),
    ],
)
def test_a_convolution_is_what_its_module_is(layer):
    operation, graph = only(layer, "convolution")
    found = Convolution.of(operation)
    for name in ("stride", "padding", "dilation", "output_padding", "transposed", "groups"):
        assert getattr(found, name) == getattr(layer, name)
    assert graph.tensors[found.weight].name == "weight"
    assert (found.bias is None) == (layer.bias is None)
    assert found.input == graph.inputs[0]
    assert Pool.of(operation) is Norm.of(operation) is AdaptivePool.of(operation) is None


@pytest.mark.parametrize(
    ("layer", "how", "kernel", "stride", "padding", "dilation"),
    [
        (nn.MaxPool2d(3, 2, 1, 2, ceil_mode=True), "max", (3, 3), (2, 2), (1, 1), (2, 2)),
        (nn.MaxPool2d((2, 3)), "max", (2, 3), (2, 3), (0, 0), (1, 1)),
        (nn.AvgPool2d((3, 2), 1, (1, 0), count_include_pad=False), "average", (3, 2), (1, 1), (1, 0), (1, 1)),
    ],
)
def test_a_pool_is_what_its_module_is(layer, how, kernel, stride, padding, dilation):
    operation, _ = only(layer, "pool")
    found = Pool.of(operation)
    assert (found.how, found.kernel_size, found.stride, found.padding) == (how, kernel, stride, padding)
    assert (found.dilation, found.ceil_mode) == (dilation, layer.ceil_mode)
    assert found.count_include_pad == getattr(layer, "count_include_pad", False)


def test_adaptive_pools_have_a_size_for_each_axis():
    operation, _ = only(nn.AdaptiveMaxPool2d((3, 5)), "adaptive pool")
    assert AdaptivePool.of(operation).output_size == (3, 5)
    assert AdaptivePool.of(operation).how == "max"


@pytest.mark.parametrize(
    ("layer", "how", "computes"),
    [
        (nn.BatchNorm2d(6, eps=0.25), "batch", False),
        (nn.BatchNorm2d(6, eps=0.25, track_running_stats=False), "batch", True),
        (nn.GroupNorm(3, 6, eps=0.25), "group", True),
        (nn.LayerNorm((9, 12), eps=0.25), "layer", True),
        (nn.InstanceNorm2d(6, eps=0.25), "batch", True),
    ],
)
def test_a_norm_is_what_its_module_is(layer, how, computes):
    operation, graph = only(layer, "norm")
    found = Norm.of(operation)
    assert (found.how, found.computes, found.epsilon) == (how, computes, 0.25)
    assert found.axes == (2 if how == "layer" else 0)
    assert found.groups == (3 if how == "group" else 1)
    if found.variance is not None:
        assert graph.tensors[found.variance].name == "running_var"


def test_arguments_are_named_and_defaults_are_filled_in():
    operation, graph = only(lambda x: torch.cat((x, x), dim=1), "join")
    assert arguments_of(operation)["dim"] == 1
    operation, graph = only(lambda x: x[:, 2:], "view")
    given = arguments_of(operation)
    assert (given["self"].tensor, given["dim"], given["start"], given["step"]) == (graph.inputs[0], 1, 2, 1)


def test_forms_in_place_belong_to_the_family_and_foreign_operators_to_none():
    operation, _ = only(lambda x: x.clone().transpose_(1, 2) + 0, "view")
    assert operation.kind == "transpose_"
    graph = record(Doing(lambda x: F.relu(x.cumsum(3).mul_(2), inplace=True)), (3, 8, 8))
    assert [is_pointwise(each) for each in graph.operations] == [False, True, True]
    with torch.library._scoped_library("convlens_operators", "FRAGMENT") as library:
        library.define("relu(Tensor x) -> Tensor")
        library.impl("relu", lambda x: torch.empty_like(x), "Meta")
        foreign = record(Doing(lambda x: torch.ops.convlens_operators.relu(x)), (3, 8, 8)).operations[0]
    assert foreign.kind == "relu"
    assert family(foreign) is None
    assert not is_pointwise(foreign)


def test_every_name_in_the_table_is_an_operator_of_torch():
    assert [kind for kind in FAMILIES if not any(hasattr(torch.ops.aten, each) for each in (kind, f"{kind}_"))] == []
