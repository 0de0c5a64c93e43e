import pytest
from torch import nn

from convlens.training.batch_choice import with_fitting_batch
from convlens.training.config import TrainConfig

NORMED = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
PLAIN = nn.Sequential(nn.Conv2d(1, 2, 3))


def chosen(images, network=NORMED, **given):
    said = []
    config = with_fitting_batch(TrainConfig(data="photos", **given), network, images, said.append)
    return config.batch, round(config.learning_rate, 6), bool(said)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (24, (12, 0.001, True)),
        (300, (32, 0.001, False)),
        (12_799, (32, 0.001, False)),
        (12_800, (64, 0.002, True)),
        (54_000, (128, 0.004, True)),
        (1_281_167, (128, 0.004, True)),
    ],
)
def test_many_images_take_a_larger_batch_and_a_rate_that_goes_with_it(images, expected):
    assert chosen(images) == expected


def test_without_batch_norms_the_batch_stays():
    assert chosen(54_000, PLAIN) == (32, 0.001, False)


@pytest.mark.parametrize("given", [32, 64, 512])
def test_a_batch_that_is_named_is_taken_with_its_rate(given):
    assert chosen(54_000, batch=given) == (given, 0.001, False)
    assert chosen(54_000, batch=given, lr=0.3) == (given, 0.3, False)


def test_a_rate_that_is_named_is_taken_and_that_of_the_recipe_grows():
    assert chosen(300, lr=0.01) == (32, 0.01, False)
    assert chosen(54_000, lr=0.01) == (128, 0.01, True)
    assert chosen(54_000, recipe="strong", lr=0.002) == (128, 0.008, True)
