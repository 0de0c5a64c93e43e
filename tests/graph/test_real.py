"""Recording a forward pass that computes numbers, for networks whose course depends on them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from convlens import ConvlensError, inspect
from convlens.anatomy import ValuesDecideError
from convlens.graph import record


class Detector(nn.Module):
    """Scores at every place, boxes at the places that are found: `nonzero`, a loop that asks for numbers, an if."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 5)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        features = F.relu(self.norm(self.stem(x)))
        self.seen += 1
        scores = features.sum(1)
        places = (scores > scores.mean()).nonzero()
        boxes = self.head(features[places[:, 0], :, places[:, 1], places[:, 2]])
        kept = []
        while len(boxes) and len(kept) < 3:
            best = int(boxes[:, 0].argmax())
            kept.append(boxes[best])
            boxes = boxes[(boxes - boxes[best]).abs().sum(1) > 0.1]
        if scores.max().item() < -1:
            raise ValueError("nothing here")
        return torch.stack(kept)


@pytest.fixture
def detector():
    torch.manual_seed(0)
    return Detector().eval()


def test_a_network_whose_course_depends_on_numbers_is_recorded_with_numbers(detector):
    with pytest.raises(ValuesDecideError, match=r"real=True \(--real\)"):
        inspect(detector, (3, 20, 14))
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    chance = torch.get_rng_state()
    sheet = inspect(detector, (3, 20, 14), real=True)
    assert sheet.graph.real
    assert sheet.modules.macs >= 4 * 27 * 10 * 7  # the stem, and the head for what was found
    assert "it holds for this input" in sheet.to_text()
    assert sheet.receptive_field("stem", (0, 3)).columns == (5, 7)
    after = detector.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(chance, torch.get_rng_state())
    assert detector(torch.rand(1, 3, 20, 14)).shape[1] == 5


def test_the_numbers_that_are_given_are_the_ones_that_decide():
    class Longer(nn.Module):
        def forward(self, x, times):
            for _ in range(int(times)):
                x = F.avg_pool2d(x, 3, 1, 1)
            return x

    given = torch.rand(1, 3, 9, 7)
    kept = given.clone()
    graph = record(Longer(), given, torch.tensor(4), real=True)
    assert [each.kind for each in graph.operations].count("avg_pool2d") == 4
    assert torch.equal(given, kept)


def test_hooks_that_ask_for_numbers(detector):
    net, asked = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), []
    handle = net[0].register_forward_hook(lambda module, given, made: asked.append(made.mean().item()))
    with pytest.raises(ValuesDecideError):
        inspect(net, (3, 8, 8))
    assert inspect(net, (3, 8, 8), real=True).macs == 4 * 27 * 36
    handle.remove()
    assert all(isinstance(each, float) for each in asked)


@pytest.mark.parametrize(
    "make", [lambda: nn.Conv2d(3, 4, 3), lambda: nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.5))]
)
def test_a_network_that_asks_for_no_numbers_is_recorded_as_ever(make):
    net = make()
    for training in (False, True):
        one, other = (record(net, (3, 9, 8), training=training, real=real) for real in (False, True))
        assert [(each.target, each.module) for each in one.operations] == [
            (each.target, each.module) for each in other.operations
        ]
        assert [each.shape for each in one.tensors] == [each.shape for each in other.tensors]
        assert [each.role for each in one.tensors] == [each.role for each in other.tensors]


def test_parameters_without_numbers_are_refused():
    with pytest.raises(ConvlensError, match="meta device have none"):
        inspect(nn.Conv2d(3, 4, 3, device="meta"), (3, 8, 8), real=True)
