"""Recording inside PyTorch's contexts, and modules that enter them: the operations are the same as without."""

import pytest
import torch
from torch import nn

import convlens
from convlens.graph import record


@pytest.fixture(scope="module")
def network():
    return convlens.create("resnet18").eval()


def operations(graph):
    assert graph.failure is None, graph.failure
    return [each.target for each in graph.operations]


def around(context):
    def use(network):
        with context():
            return record(network, (3, 64, 64))

    return use


class Decorated(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    @torch.inference_mode()
    def forward(self, x):
        return self.inner(x)


class Partly(Decorated):
    def forward(self, x):
        with torch.inference_mode():
            y = self.inner(x)
        return y + 0


def inside(transform):
    def use(network):
        found = []

        def noted(x):
            found.append(record(network, (3, 64, 64)))
            return x.sum()

        transform(noted)(torch.zeros(3))
        return found[0]

    return use


@pytest.mark.parametrize(
    "use",
    [
        around(torch.inference_mode),
        around(torch.no_grad),
        around(torch.enable_grad),
        around(lambda: torch.device("meta")),
        lambda network: record(Decorated(network), (3, 64, 64)),
        inside(torch.vmap),
        inside(torch.func.grad),
        inside(torch.func.jacrev),
    ],
    ids=["inference mode", "no_grad", "enable_grad", "device", "decorated forward", "vmap", "grad", "jacrev"],
)
def test_the_operations_are_those_without(network, use):
    assert operations(use(network)) == operations(record(network, (3, 64, 64)))


def test_inference_mode_within_a_forward(network):
    sheet = convlens.inspect(Partly(network), (3, 64, 64))
    assert sheet.macs == 148_557_824
    assert sheet.graph.operations[-1].kind == "add"


def test_tensors_and_modules_made_in_inference_mode():
    with torch.inference_mode():
        network, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), torch.zeros(1, 3, 8, 8)
        assert convlens.inspect(network, x).macs == 4 * 36 * 27
        assert convlens.inspect(network, x).training_memory > 0


@pytest.mark.filterwarnings("ignore:Anomaly Detection:UserWarning")
def test_anomaly_detection_around():
    with torch.autograd.detect_anomaly():
        sheet = convlens.inspect(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), (3, 8, 8))
        assert sheet.macs == 4 * 36 * 27
        assert sheet.training_memory > 0
        assert torch.is_anomaly_enabled()


class Transformed(nn.Module):
    """The same convolution by way of torch.func."""

    def __init__(self, way):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.way = way

    def forward(self, x):
        return self.way(self.conv, x)


WAYS = {
    "vmap": lambda conv, x: torch.vmap(lambda each: conv(each[None])[0])(x),
    "grad": lambda conv, x: torch.func.grad(lambda given: conv(given).square().sum())(x),
    "jvp": lambda conv, x: torch.func.jvp(conv, (x,), (torch.ones_like(x),))[0],
    "functional call": lambda conv, x: torch.func.functional_call(conv, dict(conv.named_parameters()), (x,)),
}


@pytest.mark.filterwarnings("ignore:.torch.jit.*is deprecated:DeprecationWarning")  # by torch.func.jvp itself
@pytest.mark.parametrize("way", WAYS)
def test_a_forward_that_uses_transforms(way):
    network, x = Transformed(WAYS[way]), torch.rand(2, 3, 8, 8)
    graph = record(network, x)
    assert graph.failure is None
    assert "convolution" in {each.kind for each in graph.operations}
    assert graph.tensors[graph.outputs[0]].shape == network(x).shape
    assert graph.calls_of("conv")
