"""Classifiers as convolutions: each unit of the map is the network on its crop."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import convlens
from convlens.errors import ConvlensError
from convlens.networks import card
from convlens.networks.alexnet import AlexNet
from convlens.networks.efficientnet import EfficientNet
from convlens.networks.googlenet import PAPER_2014, GoogLeNet
from convlens.networks.resnet import ResNet
from convlens.networks.rewriting import NotConvertibleError
from convlens.networks.vgg import VGG


class Averaging(nn.Module):
    """Without padding, a head that averages: as functions, as torchvision's networks write it."""

    def __init__(self, how):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 6, 3), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(6, 4)
        self.how = how

    def forward(self, x):
        x = self.features(x)
        if self.how == "module":
            return self.fc(torch.flatten(self.pool(x), 1))
        if self.how == "function":
            return self.fc(F.adaptive_avg_pool2d(x, 1).view(x.size(0), -1))
        return self.fc(x.mean((2, 3)))


def check_crops(net, converted, size, stride, channels):
    height, width = size
    x = torch.rand(2, channels, height + 3 * stride, width + 2 * stride, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        scores = converted(x)
        assert scores.shape[2:] == (4, 3)
        for row in range(4):
            for column in range(3):
                crop = x[:, :, row * stride :, column * stride :][:, :, :height, :width]
                torch.testing.assert_close(scores[:, :, row, column], net(crop), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "stride", "size"), [("lenet5", 4, (32, 32)), ("lenet5_1998", 4, (36, 28)), ("mlp", 1, (9, 7))]
)
def test_a_unit_of_the_map_is_the_network_on_its_crop(name, stride, size):
    net = convlens.create(name, size=size, classes=4).eval()
    check_crops(net, convlens.fully_convolutional(net), size, stride, card(name).channels)


@pytest.mark.parametrize("how", ["module", "function", "mean"])
def test_averages_slide_over_what_a_crop_has(how):
    net = Averaging(how).eval()
    check_crops(net, convlens.fully_convolutional(net, size=(24, 20)), (24, 20), 2, 3)


def test_padding_reaches_only_the_border_of_the_map():
    torch.manual_seed(0)
    body = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()]
    inner = nn.Sequential(*body, nn.ZeroPad2d(-2), nn.Flatten(), nn.Linear(4 * 8 * 8, 3)).eval()
    check_crops(inner, convlens.fully_convolutional(inner, size=(12, 12)), (12, 12), 1, 1)


SMALL = {
    "alexnet": (lambda: AlexNet(hidden=16, classes=4), (224, 224)),
    "vgg": (lambda: VGG(depths=(1, 1, 1, 1, 1), widths=(4, 4, 4, 4, 4), hidden=8, classes=4), (224, 224)),
    "googlenet": (lambda: GoogLeNet(plan=PAPER_2014, auxiliary=True, classes=4), (96, 96)),
    "resnet": (lambda: ResNet(depths=(1, 1, 1, 1), widths=(4, 4, 4, 4), classes=4), (64, 96)),
    "efficientnet": (lambda: EfficientNet(width=0.25, classes=4), (64, 64)),
}


@pytest.mark.parametrize("name", SMALL)
def test_at_its_own_size_every_family_gives_its_scores(name):
    build, size = SMALL[name]
    net = build().eval()
    x = torch.rand(2, 3, *size)
    with torch.no_grad():
        converted = convlens.fully_convolutional(net, size=size)
        torch.testing.assert_close(converted(x).flatten(1), net(x), atol=1e-4, rtol=1e-4)
        assert converted(torch.rand(1, 3, size[0] + 64, size[1] + 32)).shape == (1, 4, 3, 2)


def test_the_network_itself_stays_as_it_was():
    net = convlens.create("lenet5")
    before = {name: value.clone() for name, value in net.state_dict().items()}
    convlens.fully_convolutional(net)
    assert net.training
    assert isinstance(net.c5, nn.Linear)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, x):
        return self.conv(x) if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("net", "size", "words"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3)), None, "Sequential does not say for which images it is; give size="),
        (nn.Sequential(nn.Conv2d(1, 2, 3)), (8, 8), "flattens nothing"),
        (Branching(), (8, 8), "its forward must not branch on values"),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.BatchNorm1d(72)), (8, 8), "1 norms|2 norms"),
        (
            nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(32, 2)),
            (8, 8),
            "6×6 to 4×4",
        ),
        (nn.Sequential(nn.ReLU()), (8, 8), "neither convolutions nor linear layers"),
    ],
)
def test_a_head_that_cannot_slide_is_named(net, size, words):
    with pytest.raises(NotConvertibleError, match=words):
        convlens.fully_convolutional(net, size=size)
    assert issubclass(NotConvertibleError, ConvlensError)
