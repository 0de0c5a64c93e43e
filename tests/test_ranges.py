import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convlens.errors import ConvlensError
from convlens.ranges import Range, check_range, check_ranges


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-2e6, 2e6))
def test_what_is_inside_passes_and_what_is_outside_is_named_with_both_bounds(one, other, value):
    lowest, highest = sorted((one, other))
    allowed = Range(lowest, highest)
    if lowest <= value <= highest:
        check_range("rate", value, allowed)
    else:
        with pytest.raises(ConvlensError) as caught:
            check_range("rate", value, allowed)
        assert f"{value!r}; use {lowest:g} to {highest:g}" in str(caught.value)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_is_no_finite_number_is_never_inside(value):
    assert value not in Range(0)
    assert value not in Range(0, 1)


def test_a_bound_that_is_open_is_outside_itself():
    assert 0 not in Range(0, open_below=True)
    assert 1e-9 in Range(0, open_below=True)
    with pytest.raises(ConvlensError, match="rate is 0; use more than 0 and at most 1"):
        check_range("rate", 0, Range(0, 1, open_below=True))


def test_each_of_a_pair_is_checked_and_none_is_left_for_later():
    class Settings:
        size = (8, 0)
        threads = None

    check_ranges(Settings(), {"threads": Range(1)})
    with pytest.raises(ConvlensError, match=r"input: size is \(8, 0\); use at least 1, in pixels"):
        check_ranges(Settings(), {"size": Range(1, example="in pixels")}, of="input")
