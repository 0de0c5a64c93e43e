import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from convlens.data.chance import uniforms
from convlens.data.order import shuffled


@given(seed=st.integers(0, 2**64), epoch=st.integers(0, 1000), count=st.integers(1, 200))
def test_a_row_does_not_depend_on_its_neighbours(seed, epoch, count):
    together = uniforms(seed, epoch, np.arange(count), 3)
    alone = uniforms(seed, epoch, [count - 1], 3)
    np.testing.assert_array_equal(together[-1:], alone)
    assert sorted(shuffled(seed, epoch, count)) == list(range(count))


def test_numbers_are_spread_evenly_and_differ_by_seed_and_epoch():
    numbers = uniforms(0, 0, np.arange(20_000), 4)
    for column in numbers.T:
        counts, _ = np.histogram(column, bins=10, range=(0, 1))
        assert abs(counts - 2000).max() < 5 * np.sqrt(2000 * 0.9)
    assert abs(np.corrcoef(numbers.T) - np.eye(4)).max() < 0.03
    assert not np.array_equal(shuffled(0, 0, 100), shuffled(0, 1, 100))
    assert not np.array_equal(shuffled(0, 0, 100), shuffled(1, 0, 100))
