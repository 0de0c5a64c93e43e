"""A forward pass that fails is answered with what was expected, what came, and the line to change."""

import pytest
import torch
from torch import nn

from convlens.anatomy import ValuesDecideError, WrongShapeError, inspect
from convlens.errors import ConvlensError


def lenet(features=400):
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(features, 10)
    )


class Sum(nn.Module):
    def __init__(self, join):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(3, 4, 3)
        self.join = join

    def forward(self, x):
        return self.join(self.one(x), self.two(x))


@pytest.mark.parametrize(
    ("net", "size", "messages"),
    [
        (lenet(), (1, 28, 28), ["5 (Linear) expects 400 features but gets 1×256, which has 256",
                                "Linear(in_features=256, out_features=10)", "an input of 1×32×32, the smallest"]),
        (lenet(), (1, 64, 64), ["Linear(in_features=2704, out_features=10)", "1×32×32"]),
        (lenet(), (1, 10, 10), ["2 (Conv2d) needs at least 5×5", "gets 1×6×3×3", "1×32×32"]),
        (lenet(), (3, 32, 32), ["0 (Conv2d) expects 1 channels but gets 1×3×32×32", "Conv2d(in_channels=3"]),
        (nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(9)), (3, 8, 8), ["BatchNorm2d(num_features=8)"]),
        (nn.LayerNorm(9), (3, 8), ["LayerNorm(normalized_shape=[8])"]),
        (nn.Sequential(nn.Conv2d(3, 8, 1), nn.GroupNorm(2, 4)), (3, 8, 8), ["GroupNorm(2, 8)"]),
        (nn.MaxPool2d(5), (3, 4, 4), ["MaxPool2d", "windows of 5", "3×5×5, the smallest"]),
        (Sum(torch.add), (3, 9, 9), ["the forward of Sum cannot add 1×4×4×4 and 1×4×7×7", "differ in dimension -2"]),
        (Sum(lambda a, b: torch.cat([a, b], 1)), (3, 9, 9), ["cannot cat 1×4×4×4 and 1×4×7×7", "same size"]),
        (Sum(lambda a, b: a.view(1, 7)), (3, 9, 9), ["cannot view 1×4×4×4", "[1, 7]", "flatten(1)"]),
    ],
)  # fmt: skip
def test_the_message_names_the_remedy(net, size, messages):
    with pytest.raises(WrongShapeError) as caught:
        inspect(net, size)
    text = str(caught.value)
    assert "\n" not in text
    for message in messages:
        assert message in text


class Deciding(nn.Module):
    def __init__(self, way):
        super().__init__()
        self.way = way

    def forward(self, x):
        return self.way(nn.functional.relu(x))


@pytest.mark.parametrize(
    ("way", "message"),
    [
        (lambda x: x if x.sum() > 0 else -x, "the value of a tensor"),
        (lambda x: x[x > 0], "the values of a tensor"),
        (lambda x: torch.from_numpy(x.numpy()), "the values of a tensor"),
    ],
)
def test_what_depends_on_values_says_so(way, message):
    with pytest.raises(ValuesDecideError, match=message) as caught:
        inspect(Deciding(way), (3, 4, 4))
    assert caught.value.anatomy.rows[0].kind == "relu"


def test_a_forgotten_size_is_asked_for():
    with pytest.raises(ConvlensError, match="needs an input size"):
        inspect(nn.ReLU())
    assert inspect(nn.ReLU(), input_size=(3, 4, 4)).output_shapes == ((1, 3, 4, 4),)


def test_what_has_no_remedy_keeps_torchs_words():
    class Picky(nn.Module):
        def forward(self, x):
            raise ValueError(f"only even sizes,\nnot {x.shape[2]}")

    with pytest.raises(WrongShapeError, match="the forward of Picky fails: only even sizes, not 7"):
        inspect(Picky(), (3, 7, 7))


class Adding(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 8, 1)

    def forward(self, x):
        return self.one(x) + self.two(x)


@pytest.mark.parametrize(
    ("module", "given", "message"),
    [
        (nn.Conv2d(3, 4, 3), torch.zeros(1, 3, 8, 8, dtype=torch.int64), "has weights of type float32 but gets int64"),
        (nn.Sequential(nn.Embedding(9, 4)), torch.zeros(1, 5), "looks up indices but gets float32"),
        (nn.Sequential(nn.Conv3d(3, 4, 3), nn.BatchNorm3d(4)), (3, 8, 16, 16), "give the batch too: 1×4×6×14×14"),
        (nn.Conv3d(3, 4, 3), (3, 16, 16), "expects 5 dimensions"),
        (nn.Conv2d(3, 4, 3), (32, 24, 3), "which has them last; give 1×3×32×24"),
        (Adding(), (3, 8, 8), "4 and 8 channels; end both branches with as many"),
    ],
)
def test_types_batches_and_channels_are_told_from_sizes(module, given, message):
    with pytest.raises(WrongShapeError, match=message):
        inspect(module, given)


class Asserting(nn.Module):
    def forward(self, x):
        y = x * 2
        assert not bool(torch.isnan(y).any()), "no numbers"
        return y


def test_what_depends_on_values_is_no_wrong_shape():
    with pytest.raises(ValuesDecideError, match="depends on") as caught:
        inspect(Asserting(), (3, 8, 8))
    assert not isinstance(caught.value, WrongShapeError)
    assert caught.value.anatomy.rows
