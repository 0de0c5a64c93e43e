import pytest
from torch import nn

from convlens.training.capacity import with_fitting_mixing
from convlens.training.settings import settle


def mixed(images, **given):
    said = []
    config = settle({"data": "photos", "network": "lenet5", "recipe": "strong", **given})
    config = with_fitting_mixing(config, nn.Linear(99, 8), images, said.append)  # 800 parameters
    return (config.policy, config.mixup, config.cutmix, config.repeats, config.erasing), said


def test_a_network_with_few_parameters_for_its_images_trains_on_them_as_they_are():
    assert mixed(100) == (("trivial", 0.1, 1.0, 2, 0.1), [])
    settings, (said,) = mixed(101)
    assert settings == ("none", 0.0, 0.0, 1, 0.1)
    assert (
        "lenet5 has 7.9 parameters for each of 101 images, so it trains without policy, mixup, cutmix, repeats" in said
    )


@pytest.mark.parametrize("given", [{"mixing_from": 0.0}, {"cutmix": 1.0}])
def test_what_is_named_is_used(given):
    assert mixed(100_000, **given) == (("trivial", 0.1, 1.0, 2, 0.1), [])
