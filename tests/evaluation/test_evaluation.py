from dataclasses import replace

import numpy as np
import pytest

from convlens import data, evaluation
from convlens.errors import ConvlensError
from convlens.images import Preprocessing

PREPROCESSING = Preprocessing(size=(8, 8), resize=(8, 8), mean=(0.0,), std=(1.0,), channels=1)


class NearestMean:
    """The class whose mean training digit is nearest: no network, but right more often than not."""

    preprocessing = PREPROCESSING

    def __init__(self, dataset, classes):
        self.classes = tuple(classes)
        images = {label: [] for label in classes}
        for record in dataset.records("train"):
            if record.label in images:
                images[record.label].append(PREPROCESSING.apply(dataset.read(record)))
        self.means = np.stack([np.mean(images[label], axis=0).ravel() for label in classes])

    def probabilities(self, x_NCHW):
        distances = ((x_NCHW.reshape(len(x_NCHW), 1, -1) - self.means) ** 2).sum(axis=2)
        likelihood = np.exp(-distances)
        return (likelihood / likelihood.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def digits():
    return data.open_dataset("digits")


def test_figures_belong_together(digits):
    done = evaluation.evaluate(NearestMean(digits, digits.classes), digits)
    assert (done.split, done.images) == ("test", len(digits.records("test")))
    assert 0.8 < done.top1_low < done.top1 < done.top1_high < 1
    assert done.top1 <= done.top5 <= 1
    assert np.trace(done.confusion) == round(done.top1 * done.images)
    assert len(done.mistakes) == done.images - np.trace(done.confusion)
    assert [m.probability for m in done.mistakes] == sorted((m.probability for m in done.mistakes), reverse=True)
    assert all(m.label != m.predicted for m in done.mistakes)


def test_classes_are_matched_by_name_never_by_position(digits):
    forward = evaluation.evaluate(NearestMean(digits, digits.classes), digits)
    backward = evaluation.evaluate(NearestMean(digits, digits.classes[::-1]), digits)
    assert backward.classes == forward.classes[::-1]
    assert backward.top1 == forward.top1
    assert np.array_equal(np.array(backward.confusion), np.array(forward.confusion)[::-1, ::-1])


def test_images_of_unknown_classes_are_left_out_and_said(digits):
    done = evaluation.evaluate(NearestMean(digits, "012"), digits)
    assert done.images == sum(digits.counts("test")[label] for label in "012")
    assert any("'7' is unknown to the network" in note for note in done.notes)


def test_no_common_class_is_an_error(digits):
    cats = NearestMean(digits, "012")
    cats.classes = ("cat", "dog", "owl")
    with pytest.raises(ConvlensError, match="none in common"):
        evaluation.evaluate(cats, digits)


def test_the_batch_changes_nothing_and_progress_ends_at_all_images(digits):
    predictor = NearestMean(digits, digits.classes)
    seen = []
    whole = evaluation.evaluate(predictor, digits, "val", batch=1000)
    parts = evaluation.evaluate(predictor, digits, "val", batch=7, on_progress=lambda done, of: seen.append((done, of)))
    assert replace(parts, mistakes=()).to_dict() == replace(whole, mistakes=()).to_dict()
    assert seen[-1] == (whole.images, whole.images)


def test_a_misspelt_split_is_answered_with_the_nearest(digits):
    with pytest.raises(ConvlensError, match="did you mean test"):
        evaluation.evaluate(NearestMean(digits, digits.classes), digits, "tset")
