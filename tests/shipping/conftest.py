"""One run and one artifact a format for all tests, because exporting takes seconds."""

import numpy as np
import pytest

import convlens
from convlens import shipping
from convlens.data import open_dataset


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A run that has learnt something, so that its probabilities are not all alike."""
    root = tmp_path_factory.mktemp("runs")
    return convlens.train("digits", network="lenet5", epochs=5, seed=0, runs=str(root), name="digits", quiet=True)


@pytest.fixture(scope="session")
def artifacts(run, tmp_path_factory):
    """Path of the artifact of each format, made when first asked for."""
    folder, made = tmp_path_factory.mktemp("artifacts"), {}

    def path(to):
        if to not in made:
            made[to] = shipping.export(run.path, to, out=folder / f"digits{shipping.FORMATS[to].suffixes[0]}")
        return made[to].path

    return path


@pytest.fixture(scope="session")
def digits():
    """Held-out digits as decoded images, uint8 (8, 8, 1)."""
    dataset = open_dataset("digits")
    return [dataset.read(record, channels=1) for record in dataset.records("test")[:50]]


@pytest.fixture(scope="session")
def x_nchw(run, digits):
    return np.stack([run.folder.preprocessing.apply(image) for image in digits])
