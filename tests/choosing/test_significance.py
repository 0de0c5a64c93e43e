import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_ind

from convlens.choosing.significance import compare_with_best, holm, images_needed, mcnemar, seeds_differ

counts = st.integers(0, 60)


@given(counts, counts)
def test_mcnemar_is_the_binomial_test_with_one_half(first, second):
    expected = binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected)
    assert mcnemar(first, second) == mcnemar(second, first)


def test_mcnemar_takes_the_counts_of_large_data_sets():
    assert mcnemar(3000, 2000) < 1e-40
    assert mcnemar(2510, 2490) == pytest.approx(binomtest(2510, 5000, 0.5).pvalue)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_his_procedure_rejects(p_values):
    order, going = sorted(range(len(p_values)), key=lambda i: p_values[i]), True
    rejected = set()
    for rank, index in enumerate(order):  # step down, until one does not fall below its level
        going = going and p_values[index] < 0.05 / (len(p_values) - rank)
        rejected |= {index} if going else set()
    assert {i for i, p in enumerate(holm(p_values)) if p < 0.05} == rejected


def test_so_many_images_show_the_difference_in_four_studies_of_five():
    only_first, only_second, images = 24, 12, 360
    needed = images_needed(only_first, only_second, images)
    draws = np.random.default_rng(0).multinomial(
        needed, [only_first / images, only_second / images, 1 - 36 / images], size=2000
    )
    found = np.mean([mcnemar(first, second) < 0.05 for first, second, _ in draws.tolist()])
    assert 0.74 < found < 0.84  # the exact test is a little less powerful than the normal approximation


def test_a_network_is_compared_with_the_best_on_the_same_images():
    mistakes = {"best": {"a", "b"}, "near": {"b", "c", "d"}, "far": set("bcdefghijklm")}
    near, far = compare_with_best(mistakes, 100, "best", dict.fromkeys(mistakes, (0.9,)))
    assert (near.other, near.only_best, near.only_other, near.distinguished) == ("near", 2, 1, False)
    assert (far.other, far.only_best, far.only_other, far.distinguished) == ("far", 11, 1, True)
    assert far.p < far.p_adjusted == 2 * far.p
    assert far.images_needed < 100 < near.images_needed


def test_training_again_may_make_of_a_difference_noise():
    mistakes = {"best": set(), "other": {str(i) for i in range(12)}}
    (alike,) = compare_with_best(mistakes, 100, "best", {"best": (1.0, 0.86), "other": (0.88, 0.95)})
    (apart,) = compare_with_best(mistakes, 100, "best", {"best": (1.0, 0.99, 1.0), "other": (0.88, 0.87, 0.88)})
    assert (alike.distinguished, apart.distinguished) == (False, True)
    assert apart.p_seeds == pytest.approx(ttest_ind((1.0, 0.99, 1.0), (0.88, 0.87, 0.88), equal_var=False).pvalue)


def test_seeds_without_any_spread_are_no_division_by_zero():
    assert seeds_differ((0.9, 0.9), (0.9, 0.9)) == 1.0
    assert seeds_differ((0.9, 0.9), (0.8, 0.8)) == 0.0
    assert seeds_differ((0.9,), (0.8, 0.8)) is None
