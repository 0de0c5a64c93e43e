"""Drawn images with a known object in a known place, and a small network trained on them."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

SIZE, OBJECT = 48, 14


@dataclass
class Drawn:
    images: torch.Tensor  # (N, 1, SIZE, SIZE)
    labels: torch.Tensor
    corners: list[tuple[int, int]]  # of the object's box


def draw(count, seed):
    """Noise with one square, one disc or one cross somewhere on it."""
    numbers = np.random.default_rng(seed)
    rows, columns = np.mgrid[:OBJECT, :OBJECT] - (OBJECT - 1) / 2
    shapes = (
        np.maximum(abs(rows), abs(columns)) > OBJECT / 2 - 4,
        rows**2 + columns**2 < (OBJECT / 2) ** 2,
        np.minimum(abs(rows), abs(columns)) < 2,
    )
    images = numbers.normal(0, 0.3, (count, 1, SIZE, SIZE)).astype(np.float32)
    labels = numbers.integers(0, 3, count)
    corners = []
    for image, label in zip(images, labels, strict=True):
        top, left = (int(each) for each in numbers.integers(0, SIZE - OBJECT + 1, 2))
        image[0, top : top + OBJECT, left : left + OBJECT] += 1.5 * shapes[label]
        corners.append((top, left))
    return Drawn(torch.from_numpy(images), torch.from_numpy(labels), corners)


def small_network():
    def stage(before, after):
        return [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]

    return nn.Sequential(
        *stage(1, 16), nn.MaxPool2d(2), *stage(16, 32), nn.MaxPool2d(2), *stage(32, 32),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 3),
    )  # fmt: skip


@pytest.fixture(scope="session")
def trained():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network, drawn = small_network(), draw(600, seed=1)
        optimiser = torch.optim.AdamW(network.parameters(), 5e-3)
        for _ in range(6):
            for rows in torch.randperm(600).split(30):
                loss = nn.functional.cross_entropy(network(drawn.images[rows]), drawn.labels[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        optimiser.zero_grad()
    return network.eval()


@pytest.fixture(scope="session")
def unseen():
    return draw(60, seed=2)
