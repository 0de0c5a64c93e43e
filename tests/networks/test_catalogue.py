import pytest
import torch

import convlens
from convlens.errors import ConvlensError
from convlens.networks import WithAuxiliary, card, check_size, create, names

CATALOGUE = (
    "mlp lenet5_1998 lenet5 alexnet_2012 alexnet vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn "
    "googlenet_2014 googlenet resnet18 resnet34 resnet50 resnet101 resnet152 resnet50_v1 resnet101_v1 resnet152_v1 "
    "plain18 plain34 resnet20 resnet32 resnet44 resnet56 resnet110 mobilenet_v2 amoebanet_b amoebanet_d "
    "efficientnet_b0 efficientnet_b1 "
    "efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5 efficientnet_b6 efficientnet_b7 "
    "efficientnet_lite0 efficientnet_lite1 efficientnet_lite2 efficientnet_lite3 efficientnet_lite4"
)


def test_the_catalogue_is_this():
    assert names() == tuple(CATALOGUE.split())


@pytest.mark.parametrize("name", names())
def test_a_network_gives_one_score_a_class_at_any_size_that_the_geometry_allows(name):
    with torch.device("meta"):
        network = convlens.create(name, classes=7, channels=2, size=(97, 83), dropout=0.5).eval()
        assert network(torch.zeros(2, 2, 97, 83)).shape == (2, 7)


@pytest.mark.parametrize("name", names())
def test_the_smallest_size_on_the_card_is_the_smallest_that_works_in_training(name):
    height, width = smallest = card(name).smallest_size
    x = torch.zeros(2, card(name).channels, height, width, device="meta")
    with torch.device("meta"):
        network = create(name, size=smallest)
        scores = network(x)
    logits = scores.logits if isinstance(scores, WithAuxiliary) else scores
    assert logits.shape == (2, card(name).classes)
    if height > 1:
        with torch.device("meta"), pytest.raises(ConvlensError, match=f"at least {height}×{width}|made for {height}×"):
            network(x[:, :, 1:])
        with pytest.raises(ConvlensError, match=rf"{name} cannot take images of {height - 1}×{width} pixels"):
            check_size(name, (height - 1, width))


@pytest.mark.parametrize("name", ["alexnet", "alexnet_2012", "vgg11", "googlenet"])
def test_below_the_smallest_size_the_layers_themselves_fail(name, monkeypatch):
    monkeypatch.setattr("convlens.networks.size_checks._sizes_are_symbols", lambda _: True)
    height, width = card(name).smallest_size
    with torch.device("meta"):
        network = create(name).eval()
        with pytest.raises(RuntimeError):
            network(torch.zeros(1, 3, height - 1, width))


def test_a_misspelt_name_gets_the_nearest_ones():
    with pytest.raises(ConvlensError, match="unknown network 'resnet_18'; did you mean resnet18"):
        create("resnet_18")


@pytest.mark.parametrize(("argument", "value"), [("classes", 0), ("channels", 0), ("classes", 2.5), ("channels", True)])
def test_a_count_below_one_is_an_error(argument, value):
    with pytest.raises(ConvlensError, match=f"{argument}={value} must be a whole number of at least 1"):
        create("resnet18", **{argument: value})


@pytest.mark.parametrize("size", [224, (224,), (224.0, 224), "224", (1, 2, 3)])
def test_a_size_is_two_whole_numbers(size):
    with pytest.raises(ConvlensError, match=r"size=.* must be two whole numbers \(height, width\)"):
        create("resnet18", size=size)


def test_dropout_is_a_probability():
    with pytest.raises(ConvlensError, match=r"dropout=1\.5 must be a probability"):
        create("resnet18", dropout=1.5)


@pytest.mark.parametrize(
    "name",
    [
        "alexnet",
        "vgg11",
        "googlenet",
        "efficientnet_b0",
        "efficientnet_lite2",
        "mobilenet_v2",
        "resnet18",
        "mlp",
        "lenet5",
    ],
)
def test_dropout_reaches_the_classifier(name):
    with torch.device("meta"):
        rates = {module.p for module in create(name, dropout=0.37).modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.37}


def test_a_keyword_that_does_not_exist_is_an_error():
    with pytest.raises(TypeError, match="num_class"):
        create("resnet18", num_class=10)  # type: ignore[call-arg]


def test_an_image_of_another_size_than_the_linear_layers_says_what_to_do():
    with pytest.raises(ConvlensError, match=r"made for 32×32; create it with size=\(40, 32\)"):
        create("lenet5")(torch.zeros(1, 1, 40, 32))
