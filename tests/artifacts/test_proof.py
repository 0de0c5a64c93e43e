import numpy as np
import pytest

from convlens.artifacts.proof import Proof, compare


class Answers:
    """A candidate that answers what it is told, in any size of batch."""

    def __init__(self, p_NK):
        self.p_NK = p_NK
        self.classes = tuple("abc")
        self.preprocessing = None

    def probabilities(self, x_NCHW):
        return self.p_NK[x_NCHW[:, 0, 0, 0].astype(int)]


def proved(found_NK, expected_NK, precision="float32"):
    x = np.arange(len(expected_NK), dtype=np.float32).reshape(-1, 1, 1, 1)
    measured = compare(Answers(found_NK), x, expected_NK, precision)
    return Proof(images=len(x), images_from="here", batches=(1, 3, 16), runtime="none", **measured)


def expected(images=5):
    p = np.tile(np.array([0.9989, 1e-3, 1e-6], np.float64), (images, 1))
    return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)


def test_what_is_equal_holds():
    proof = proved(expected(), expected())
    assert proof.holds
    assert (proof.largest_difference, proof.score_difference, proof.agreement) == (0.0, 0.0, 1.0)


def test_scores_that_differ_do_not_hold_though_no_probability_does():
    found = expected()
    found[3, 2] = 1e-8  # a hundredth of what it should be, and no probability moves by more than 0.000001
    proof = proved(found, expected())
    assert proof.largest_difference < proof.tolerance
    assert proof.score_difference == pytest.approx(np.log(100) / np.log(0.9989 / 1e-6), rel=0.02)
    assert not proof.holds
    assert proved(found, expected(), "int8").holds  # which is judged by its accuracy


@pytest.mark.parametrize(("change", "holds"), [(5e-5, True), (2e-4, False)])
def test_probabilities_hold_within_their_tolerance(change, holds):
    p = np.full((4, 3), 1 / 3, np.float32) + np.array([1e-2, 0, -1e-2], np.float32)
    found = p + np.array([change, -change, 0], np.float32)
    proof = proved(found, p, "float32")
    assert (proof.largest_difference <= proof.tolerance) == holds


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_no_number_never_holds(wrong):
    found = expected()
    found[0, 0] = wrong
    for precision in ("float32", "bfloat16", "int8"):
        assert not proved(found, expected(), precision).holds
