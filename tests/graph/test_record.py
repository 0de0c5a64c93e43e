"""Recording any module: complete, in order, and without a trace left on the module."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from convlens.errors import ConvlensError
from convlens.graph import Ref, record


class Functional(nn.Module):
    """Functional calls, a shared module, an in-place operation, a view, a dict of results."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.same = self.conv
        self.norm = nn.BatchNorm2d(4)
        self.calls = 0
        self.kept = []

    def forward(self, x, extra=None):
        y = self.conv(x)
        y = F.relu(self.norm(self.same(y)), inplace=True)
        if extra is not None:
            y += extra["bias"]
        self.calls += 1
        self.last = y
        self.kept.append(y)
        return {"map": y, "pooled": (y.mean((2, 3)), y.flatten(1))}


def test_operations_are_in_order_and_belong_to_modules():
    graph = record(Functional(), (4, 8, 8))
    assert [(each.kind, each.module) for each in graph.operations if each.kind != "empty"] == [
        ("convolution", "conv"),
        ("convolution", "conv"),
        ("native_batch_norm", "norm"),
        ("relu_", ""),
        ("mean", ""),
        ("view", ""),
    ]
    assert [call.occurrence for call in graph.calls_of("same")] == [0, 1]
    assert graph.aliases == {"same": "conv"}
    assert len({each.name for each in graph.operations}) == len(graph.operations)


def test_results_keep_their_structure():
    graph = record(Functional(), (4, 8, 8))
    assert set(graph.results) == {"map", "pooled"}
    assert graph.tensors[graph.results["map"].tensor].shape == (1, 4, 8, 8)
    assert [graph.tensors[ref.tensor].shape for ref in graph.results["pooled"]] == [(1, 4), (1, 256)]


def test_several_inputs_in_nests():
    graph = record(Functional(), (4, 8, 8), {"bias": (4, 8, 8)})
    assert [graph.tensors[index].name for index in graph.inputs] == ["input", "input:1.bias"]
    assert "add_" in [each.kind for each in graph.operations]
    by_name = record(Functional(), (4, 8, 8), keywords={"extra": {"bias": (4, 8, 8)}})
    assert [each.target for each in by_name.operations] == [each.target for each in graph.operations]


def test_an_in_place_operation_makes_a_new_tensor_on_the_same_storage():
    graph = record(Functional(), (4, 8, 8))
    operation = next(each for each in graph.operations if each.kind == "relu_")
    ((before, after),) = operation.writes
    assert before != after
    assert graph.tensors[before].storage == graph.tensors[after].storage
    assert operation.outputs == (after,)


def test_the_module_is_left_as_it_was():
    net = Functional().train()
    hooked = []
    net.conv.register_forward_hook(lambda *_: hooked.append(1))
    state = {name: (id(value), value.clone()) for name, value in net.state_dict(keep_vars=True).items()}
    before = dict(net.__dict__)
    for training in (False, True):
        record(net, (4, 8, 8), training=training)
    assert net.__dict__.keys() == before.keys()
    assert net.training
    assert net.norm.training
    assert net.calls == 0
    assert net.kept == []
    for name, value in net.state_dict(keep_vars=True).items():
        assert id(value) == state[name][0]
        assert torch.equal(value, state[name][1])
        assert value.grad is None
    assert net(torch.zeros(1, 4, 8, 8))["map"].shape == (1, 4, 8, 8)


def test_it_is_left_as_it_was_after_a_failure_too():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(5)).train()
    weight = net[0].weight
    assert record(net, (3, 8, 8)).failure is not None
    assert net[0].weight is weight
    assert net[1].training


def test_a_failing_forward_leaves_the_graph_up_to_the_failure():
    graph = record(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8, 4)), (3, 32, 32))
    assert [each.kind for each in graph.operations] == ["convolution", "view", "t"]
    assert graph.failure.module == "2"
    assert graph.failure.target == "aten.addmm.default"
    assert graph.outputs == ()
    assert not graph.calls[-1].finished


def test_an_exception_that_the_module_catches_is_no_failure():
    class Careful(nn.Module):
        def __init__(self):
            super().__init__()
            self.wrong, self.right = nn.Linear(3, 3), nn.Linear(4, 4)

        def forward(self, x):
            try:
                return self.wrong(x)
            except RuntimeError:
                return self.right(x)

    graph = record(Careful(), (4,))
    assert graph.failure is None
    assert graph.operations[-1].module == "right"


def test_nothing_is_allocated_for_a_network_that_would_not_fit():
    with torch.device("meta"):
        net = nn.Sequential(nn.Conv2d(3, 4096, 3, padding=1), nn.Conv2d(4096, 4096, 31, padding=15))
    graph = record(net, (3, 4096, 4096))  # 275 GB of activations
    assert graph.tensors[graph.outputs[0]].shape == (1, 4096, 4096, 4096)


def test_a_value_that_the_module_holds_can_steer_it():
    class Steered(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("steps", torch.tensor(3))

        def forward(self, x):
            for _ in range(int(self.steps)):
                x = x + 1
            return x

    assert [each.kind for each in record(Steered(), (2,)).operations].count("add") == 3


def test_a_lazy_module_is_refused():
    with pytest.raises(ConvlensError, match="lazy module"):
        record(nn.LazyLinear(3), (4,))


def test_a_size_of_nothing_is_refused():
    with pytest.raises(ConvlensError, match="positive"):
        record(nn.ReLU(), (3, 0, 4))


def test_the_arguments_can_be_executed_again():
    """What an engine does: run the operations one after another on real tensors."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(36, 5)).eval()
    x = torch.randn(1, 3, 8, 8)
    graph = record(net, x)
    values = {index: graph.tensors[index].value for index in graph.parameters.values()}
    values[graph.inputs[0]] = x

    def real(value):
        if isinstance(value, Ref):
            return values[value.tensor]
        return type(value)(map(real, value)) if isinstance(value, list | tuple) else value

    for operation in graph.operations:
        with torch.no_grad():
            made = operation.operator(*real(operation.arguments))
        values[operation.outputs[0]] = made
    assert torch.equal(values[graph.outputs[0]], net(x))
