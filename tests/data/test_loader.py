import numpy as np
import pytest
import torch

from convlens.data import Augmentation, DataError, Loader, open_dataset
from convlens.images import Preprocessing

GRAY = Preprocessing(size=(16, 16), resize=(16, 16), mean=(0.3,), std=(0.2,), channels=1)


def training(digits, *, workers=0, batch_size=32, **how):
    augmentation = Augmentation(**{"shift": 0.2, "flip": True, **how})
    return Loader(digits, "train", GRAY, batch_size=batch_size, augmentation=augmentation, seed=5, workers=workers)


@pytest.mark.parametrize("how", [{}, {"crop_scale": (0.3, 1.0)}])
def test_an_epoch_entered_late_and_with_other_workers_goes_on_the_same(how):
    digits = open_dataset("digits")
    whole = list(training(digits, **how).epoch(2))
    rest = list(training(digits, workers=2, **how).epoch(2, start_step=30))
    assert [batch.step for batch in rest] == list(range(30, 39))
    for ours, theirs in zip(whole[30:], rest, strict=True):
        assert torch.equal(ours.images, theirs.images)
        assert torch.equal(ours.labels, theirs.labels)


def test_a_sample_is_augmented_the_same_in_any_batch_size():
    digits = open_dataset("digits")
    small = {int(i): x for b in training(digits).epoch(1) for i, x in zip(b.indices, b.images, strict=True)}
    large = {
        int(i): x for b in training(digits, batch_size=100).epoch(1) for i, x in zip(b.indices, b.images, strict=True)
    }
    assert all(torch.equal(small[i], large[i]) for i in small.keys() & large.keys())


def test_evaluation_is_the_preprocessing_to_the_bit_and_complete():
    digits = open_dataset("digits")
    loader = Loader(digits, "val", GRAY, batch_size=50)
    images = torch.cat([batch.images for batch in loader.epoch(0)])
    expected = np.stack([GRAY.apply(digits.read(record)) for record in digits.records("val")])
    np.testing.assert_array_equal(images.numpy(), expected)
    assert loader.steps == 4


def test_epochs_differ():
    loader = training(open_dataset("digits"))
    assert not torch.equal(next(loader.epoch(0)).indices, next(loader.epoch(1)).indices)


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(DataError, match="batch size 5000 is larger than the 1257 images of train; use at most 1257"):
        training(open_dataset("digits"), batch_size=5000)
