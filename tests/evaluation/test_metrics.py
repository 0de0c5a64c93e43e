import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from convlens.evaluation import metrics


def drawn(images: int, classes: int, seed: int):
    generator = np.random.default_rng(seed)
    p = generator.dirichlet(np.full(classes, 0.3), images).astype(np.float32)
    return p, generator.integers(0, classes, images)


@given(st.integers(20, 200), st.integers(2, 12), st.integers(0, 1000))
def test_figures_agree_with_scikit_learn(images, classes, seed):
    p, y = drawn(images, classes, seed)
    labels = list(range(classes))
    predicted = p.argmax(axis=1)
    confusion = metrics.confusion_matrix(predicted, y, classes)
    per_class = metrics.class_metrics(confusion, [str(label) for label in labels])
    precision, recall, f1, support = sklearn.metrics.precision_recall_fscore_support(
        y, predicted, labels=labels, zero_division=np.nan
    )
    assert confusion.tolist() == sklearn.metrics.confusion_matrix(y, predicted, labels=labels).tolist()
    assert [row.images for row in per_class] == support.tolist()
    none_as_nan = [[np.nan if x is None else x for x in (row.precision, row.recall)] for row in per_class]
    np.testing.assert_allclose(none_as_nan, np.stack([precision, recall], axis=1), rtol=1e-12)
    seen = [i for i in labels if per_class[i].f1 is not None]
    assert metrics.macro_f1(per_class) == pytest.approx(np.mean(f1[seen]))
    p64 = p.astype(np.float64) / p.astype(np.float64).sum(axis=1, keepdims=True)
    assert metrics.log_loss(p64, y) == pytest.approx(sklearn.metrics.log_loss(y, p64, labels=labels), rel=1e-3)
    if classes > 2:
        expected = sklearn.metrics.top_k_accuracy_score(y, p, k=2, labels=labels)
        assert metrics.top_k_accuracy(p, y, 2) == pytest.approx(expected)


def test_top_5_of_three_classes_is_always_right():
    p, y = drawn(50, 3, 0)
    assert metrics.top_k_accuracy(p, y, 5) == 1.0


@pytest.mark.parametrize(
    ("right", "images", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662), (10, 10, 0.7225, 1.0)],
)
def test_wilson_interval_matches_newcombe_1998(right, images, low, high):
    assert metrics.wilson_interval(right, images) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_a_network_that_is_as_sure_as_it_is_right_has_no_calibration_error():
    p = np.tile(np.array([[0.8, 0.2]]), (10, 1))
    y = np.array([0] * 8 + [1] * 2)
    assert metrics.reliability(p, y).calibration_error == pytest.approx(0.0)
    assert metrics.reliability(p, np.zeros(10, dtype=int)).calibration_error == pytest.approx(0.2)


def test_certainty_falls_into_the_last_bin_and_zero_probability_has_a_finite_loss():
    p = np.array([[1.0, 0.0]], dtype=np.float32)
    assert metrics.reliability(p, np.array([0])).images[-1] == 1
    assert np.isfinite(metrics.log_loss(p, np.array([1])))


def test_a_confidence_falls_into_the_bin_whose_edges_are_around_it():
    confidence = np.array([0.501, 0.532, 0.534, 0.599, 0.601, 0.64, 0.66, 0.667, 0.99])
    p = np.stack([confidence, 1 - confidence], axis=1)
    found = metrics.reliability(p, np.zeros(len(p), dtype=int))
    expected, _ = np.histogram(confidence, bins=np.linspace(0, 1, 16))
    assert list(found.images) == expected.tolist()
    for low, high, mean in zip(found.edges[:-1], found.edges[1:], found.confidence, strict=True):
        assert mean is None or low <= mean <= high
