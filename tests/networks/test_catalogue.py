import pytest
import torch

import convlens
from convlens.errors import ConvlensError
from convlens.networks import card, check_size, create, names


def test_the_catalogue_is_this():
    assert names() == ("mlp", "lenet5", "resnet18")


@pytest.mark.parametrize("name", names())
def test_a_network_gives_one_score_a_class_at_any_size_it_is_made_for(name):
    smallest = card(name).smallest_size
    network = convlens.create(name, classes=7, channels=2, size=(40, 33), dropout=0.5).eval()
    assert network(torch.zeros(2, 2, 40, 33)).shape == (2, 7)
    small = create(name, size=smallest).eval()
    assert small(torch.zeros(1, card(name).channels, *smallest)).shape == (1, card(name).classes)


def test_a_misspelt_name_gets_the_nearest_ones():
    with pytest.raises(ConvlensError, match="unknown network 'resnet_18'; did you mean resnet18"):
        create("resnet_18")


@pytest.mark.parametrize(("argument", "value"), [("classes", 0), ("channels", 0), ("classes", 2.5), ("channels", True)])
def test_a_count_below_one_is_an_error(argument, value):
    with pytest.raises(ConvlensError, match=f"{argument}={value} must be a whole number of at least 1"):
        create("resnet18", **{argument: value})


def test_dropout_is_a_probability():
    with pytest.raises(ConvlensError, match=r"dropout=1\.5 must be a probability"):
        create("resnet18", dropout=1.5)


def test_a_keyword_that_does_not_exist_is_an_error():
    with pytest.raises(TypeError, match="num_class"):
        create("resnet18", num_class=10)


def test_an_image_below_the_smallest_is_an_error_that_names_it():
    with pytest.raises(
        ConvlensError, match="lenet5 cannot take images of 15×40 pixels; its layers need at least 16×16"
    ):
        check_size("lenet5", (15, 40))
    with pytest.raises(ConvlensError, match="at least 16×16"):
        create("lenet5", size=(8, 8))


def test_an_image_of_another_size_than_the_linear_layers_says_what_to_do():
    with pytest.raises(ConvlensError, match=r"made for 32×32; create it with size=\(40, 32\)"):
        create("lenet5")(torch.zeros(1, 1, 40, 32))
