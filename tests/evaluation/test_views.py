import numpy as np
import pytest

from convlens.data import open_dataset
from convlens.evaluation import evaluate
from convlens.evaluation.views import Averaged, shifted, views
from convlens.images import Preprocessing

X = np.random.default_rng(0).random((2, 1, 8, 8), np.float32)


class Corner:
    """Says class 1 as surely as the first pixel is bright."""

    classes = tuple("0123456789")
    preprocessing = Preprocessing(size=(8, 8), mean=(0.0,), std=(1.0,), channels=1)
    asked = 0

    def probabilities(self, x_NCHW):
        self.asked += 1
        p = np.zeros((len(x_NCHW), 10), np.float32)
        p[:, 1] = x_NCHW[:, 0, 0, 0]
        p[:, 0] = 1 - p[:, 1]
        return p


def test_views_are_the_image_its_shifts_and_its_mirror_images():
    plain, mirrored = views(X, mirrors=False), views(X, mirrors=True)
    assert (len(plain), len(mirrored)) == (5, 10)
    np.testing.assert_array_equal(plain[0], X)
    np.testing.assert_array_equal(mirrored[5], X[..., ::-1])
    np.testing.assert_array_equal(plain[1][:, :, 1:], X[:, :, :-1])
    np.testing.assert_array_equal(plain[1][:, :, 0], X[:, :, 0])
    np.testing.assert_array_equal(shifted(X, 0, -2)[..., :-2], X[..., 2:])


def test_the_answer_is_the_mean_over_the_views():
    p = Averaged(Corner(), mirrors=True).probabilities(X)
    np.testing.assert_allclose(p[:, 1], np.mean([v[:, 0, 0, 0] for v in views(X, mirrors=True)], axis=0), rtol=1e-6)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)


def test_a_data_set_is_evaluated_with_it():
    corner = Corner()
    evaluate(Averaged(corner, mirrors=False), open_dataset("digits"), "val", batch=90)
    assert corner.asked == 5 * 2


@pytest.mark.parametrize(("height", "width"), [(3, 8), (8, 3)])
@pytest.mark.parametrize(("down", "right"), [(0, 2), (2, 0), (-1, 1), (0, -2), (0, 5), (5, 0)])
def test_a_shift_of_an_image_that_is_not_square_repeats_the_border(height, width, down, right):
    x = np.arange(height * width, dtype=np.float32).reshape(1, 1, height, width)
    found = shifted(x, down, right)[0, 0]
    for row in range(height):
        for column in range(width):
            source = min(max(row - down, 0), height - 1), min(max(column - right, 0), width - 1)
            assert found[row, column] == x[0, 0][source]
