import numpy as np
import pytest
import torch

from convlens import networks
from convlens.images import Preprocessing
from convlens.predicting import Settled, rank, torch_predictor

GRAY = Preprocessing(size=(32, 32), mean=(0.5,), std=(0.5,), channels=1)


class Wavering:
    """A predictor whose probabilities move with the size of the batch, by a share of their odds."""

    classes = ("a", "b", "c")
    preprocessing = GRAY

    def __init__(self, waver):
        self.waver = waver
        self.passes = []

    def probabilities(self, x_NCHW):
        self.passes.append(len(x_NCHW))
        scores = x_NCHW[:, 0, 0, :3].astype(np.float64)
        scores = scores + (self.waver * np.sin(1e4 * scores) if len(x_NCHW) > 1 else 0)
        odds = np.exp(scores)
        return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


def _images(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 1, 32, 32)).astype(np.float32)


def _alone(predictor, images):
    return [rank(predictor.probabilities(image[np.newaxis])[0], predictor.classes, 3) for image in images]


@pytest.mark.parametrize("waver", [0.0, 1e-6, 1e-5, 1e-4, 1e-2])
def test_a_batch_is_answered_as_each_image_alone(waver):
    images = _images(2000)
    alone = _alone(Wavering(waver), images)
    settled = Settled(Wavering(waver))
    batched = [guesses for start in range(0, 2000, 16) for guesses in settled.guesses(images[start : start + 16], 3)]
    assert batched == alone


def test_the_test_above_can_fail():
    images = _images(2000)
    predictor = Wavering(1e-5)
    naive = [rank(row, predictor.classes, 3) for row in predictor.probabilities(images)]
    assert naive != _alone(predictor, images)


def test_few_images_are_run_again_when_batches_differ_little():
    settled = Settled(Wavering(1e-6))
    for start in range(0, 2000, 16):
        settled.guesses(_images(2000)[start : start + 16], 3)
    assert 0 < settled.again < 0.1 * settled.images


def test_batches_are_given_up_when_they_differ_much():
    predictor = Wavering(1e-2)
    settled = Settled(predictor)
    for _ in range(6):
        settled.guesses(_images(16), 3)
    assert not settled.batches_pay
    predictor.passes.clear()
    settled.guesses(_images(16), 3)
    assert predictor.passes == [1] * 16


def test_a_network_answers_a_batch_as_each_image_alone():
    torch.manual_seed(3)
    predictor = torch_predictor(networks.create("lenet5"), tuple("0123456789"), GRAY, device="cpu")
    images = _images(128, seed=1)
    alone = [rank(predictor.probabilities(image[np.newaxis])[0], predictor.classes, 5) for image in images]
    settled = Settled(predictor)
    assert settled.guesses(images[:37], 5) + settled.guesses(images[37:], 5) == alone
