import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convlens.data.order import draws
from convlens.errors import ConvlensError


@given(seed=st.integers(0, 99), epoch=st.integers(0, 99), count=st.integers(1, 90), repeats=st.integers(1, 4))
def test_every_sample_comes_once_or_as_often_as_repeated(seed, epoch, count, repeats):
    labels = np.zeros(count, np.int64)
    drawn = draws(seed, epoch, labels, repeats=repeats)
    assert len(drawn) == count
    assert len(set(drawn.tolist())) == count  # a repetition is another draw, so it is augmented anew
    _, times = np.unique(drawn % count, return_counts=True)
    assert sorted(times, reverse=True)[: count // repeats] == [repeats] * (count // repeats)


def test_balanced_sampling_shows_every_class_equally_often():
    labels = np.repeat([0, 1, 2], [60, 25, 5])
    drawn = draws(0, 0, labels, sampling="balanced")
    np.testing.assert_array_equal(np.bincount(labels[drawn % 90]), [30, 30, 30])
    assert len(set(drawn.tolist())) == 90
    _, times = np.unique(drawn[labels[drawn % 90] == 2] % 90, return_counts=True)
    np.testing.assert_array_equal(times, [6] * 5)
    assert not np.array_equal(drawn, draws(0, 1, labels, sampling="balanced"))
    np.testing.assert_array_equal(drawn, draws(0, 0, labels, sampling="balanced"))


def test_wrong_names_are_refused():
    with pytest.raises(ConvlensError, match="unknown sampling 'ballanced'; did you mean balanced"):
        draws(0, 0, np.zeros(3, np.int64), sampling="ballanced")
    with pytest.raises(ConvlensError, match="repeats=0; use at least 1"):
        draws(0, 0, np.zeros(3, np.int64), repeats=0)
