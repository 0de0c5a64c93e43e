"""Input size from the images themselves."""

import numpy as np
import pytest

from convlens.training.input_choice import fitting_size


@pytest.mark.parametrize(
    ("network", "side", "size"),
    [
        ("resnet20", 8, 32),  # the digits: enlarged, as before
        ("resnet20", 28, 28),  # MNIST and its kind: as they are
        ("resnet20", 30, 32),
        ("resnet20", 32, 32),
        ("resnet20", 200, 32),
        ("lenet5", 28, 28),
        ("resnet18", 28, 32),  # its stride is 32
        ("resnet18", 100, 128),
        ("resnet18", 500, 224),
    ],
)
def test_images_are_not_enlarged_a_little_where_the_network_takes_them_as_they_are(network, side, size):
    images = [np.zeros((side, side, 1), np.uint8)]
    assert fitting_size(network, images) == (size, size)
