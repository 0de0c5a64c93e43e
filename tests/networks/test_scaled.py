"""Networks named by their coefficients are networks like any other."""

import pytest
import torch

import convlens
from convlens.classifiers.resolve import resolve
from convlens.cli.main import main
from convlens.errors import ConvlensError
from convlens.networks import Scale, card, is_name, read_scaled, scale_efficientnet, scaled_name

NAMES = ("efficientnet@0.2,0.3,40", "resnet@0.5,0.25,33", "resnet50@0.4,0.15,64", "mobilenet_v2@0.4,0.35,48")


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_what_the_network_has(name):
    sheet = card(name)
    network = convlens.create(name).eval()
    anatomy = convlens.inspect(network, (3, *sheet.input_size))
    assert (sheet.parameters, sheet.macs) == (anatomy.parameters, anatomy.macs)
    assert (sheet.name, sheet.weights, sheet.top1) == (name, {}, None)
    assert network.input_size == sheet.input_size == (read_scaled(name).scale.resolution,) * 2
    small = convlens.create(name, classes=3, channels=1).eval()
    assert small(torch.zeros(2, 1, 47, 66)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "base"), [("resnet@1,1,224", "resnet18"), ("resnet34@1,1,224", "resnet34"), ("mobilenet_v2@1,1,224",) * 2]
)
def test_ones_are_the_base(name, base):
    base = base.partition("@")[0]
    assert (card(name).parameters, card(name).macs) == (card(base).parameters, card(base).macs)


def test_efficientnets_are_those_of_the_paper():
    assert card("efficientnet@1.2,1.1,288").parameters == card("efficientnet_b2").parameters
    ours = {name: tuple(value.shape) for name, value in convlens.create("efficientnet@0.7,0.6,64").state_dict().items()}
    direct = scale_efficientnet(depth=0.7, width=0.6, resolution=64)
    assert ours == {name: tuple(value.shape) for name, value in direct.state_dict().items()}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("efficientnet@1.2,1.1", "not three coefficients.*efficientnet@1.2,1.1,260"),
        ("efficientnet@", "not three coefficients"),
        ("efficientnet@1,1,64,5", "not three coefficients"),
        ("efficientnet@1,x,64", "not three coefficients"),
        ("efficientnet@1,1,64.5", "not three coefficients"),
        ("efficientnet@nan,1,64", "factor on the depth is nan; use 0.05 to 20"),
        ("resnet@1,-1,64", "factor on the width is -1"),
        ("resnet@1,1,99999", "images of 99999 pixels; use 1 to 4096"),
        ("efficientnetb0@1,1,64", "unknown base.*efficientnet_b0"),
        ("vgg16@1,1,64", "unknown base"),
    ],
)
def test_malformed_coefficients(name, message):
    with pytest.raises(ConvlensError, match=message):
        convlens.create(name)


def test_a_name_of_rounded_coefficients_reads_back():
    scale = Scale(depth=1.2345, width=0.999, resolution=97)
    name = scaled_name("resnet", scale)
    assert name == "resnet@1.23,1,97"
    assert read_scaled(name).scale == Scale(depth=1.23, width=1.0, resolution=97)
    assert is_name(name)
    assert not is_name("vgg16@1,1,64")


def test_commands_and_runs_take_such_names(tmp_path, capsys):
    name = "resnet@0.5,0.25,20"
    assert main(["networks", name]) == 0
    assert main(["inspect", name, "--depth", "0"]) == 0
    assert main(["compare", name, "resnet@0.5,0.5,20"]) == 0
    assert name in capsys.readouterr().out
    run = convlens.train("digits", network=name, epochs=1, seed=0, runs=str(tmp_path), name="scaled", quiet=True)
    again = convlens.open_run(run.path)
    assert again.folder.description.network.name == name
    assert again.folder.description.network.size == (20, 20)
    images = torch.rand(2, 1, 20, 20)
    assert torch.equal(again.network()(images), run.network()(images))
    assert resolve(str(run.path)).card["parameters"] == card(name).parameters
    assert main(["inspect", "resnet@0.5,0.25"]) == 2
    assert "not three coefficients" in capsys.readouterr().err
