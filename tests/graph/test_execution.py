import pytest
import torch
from torch import nn

from convlens import networks
from convlens.graph import execute, operations_between, record, resume


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.last = nn.Linear(8, 5)

    def forward(self, x):
        early = self.relu(self.first(x))
        late = self.relu(self.second(early))
        return self.last((late + early).mean((2, 3)))


@pytest.mark.parametrize("make", [Branching, lambda: networks.create("resnet18"), lambda: networks.create("googlenet")])
def test_going_on_from_any_operation_gives_what_the_network_gives(make):
    torch.manual_seed(0)
    network = make().eval()
    x = torch.randn(1, 3, 64, 64)
    graph = record(network, (3, 64, 64))
    (output,) = graph.outputs
    spatial = [
        operation.outputs[0]
        for operation in graph.operations
        if graph.tensors[operation.outputs[0]].dtype.is_floating_point
    ]
    for start in spatial[:: max(1, len(spatial) // 8)]:
        between, elsewhere = operations_between(graph, [start], output)
        if not between:
            continue
        values = execute(network, graph, x, {start, *elsewhere})
        torch.testing.assert_close(resume(graph, values, output), network(x))


def test_gradients_are_those_of_the_network():
    torch.manual_seed(0)
    network = Branching().eval()
    x = torch.randn(1, 3, 8, 8)
    graph = record(network, (3, 8, 8))
    start = graph.calls_of("second")[0].results.tensor
    _, elsewhere = operations_between(graph, [start], graph.outputs[0])
    assert elsewhere
    values = execute(network, graph, x, {start, *elsewhere})
    leaf = values[start].requires_grad_()
    resume(graph, values | {start: leaf.clone()}, graph.outputs[0])[0, 2].backward()

    second = nn.Conv2d.forward
    seen = []

    def watched(self, given):
        seen.append(second(self, given))
        return seen[-1].clone()  # the activation writes into it

    network.second.forward = watched.__get__(network.second)
    score = network(x)[0, 2]
    (expected,) = torch.autograd.grad(score, seen)
    torch.testing.assert_close(leaf.grad, expected)
