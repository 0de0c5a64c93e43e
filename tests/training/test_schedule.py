import pytest
from hypothesis import given
from hypothesis import strategies as st

from convlens.training.schedule import rate_at


@given(st.integers(1, 500), st.floats(0, 1))
def test_the_rate_rises_to_its_peak_and_falls_to_nearly_nothing(steps, warmup):
    rates = [rate_at(step, steps, peak=2.0, warmup=warmup) for step in range(steps)]
    top = rates.index(max(rates))
    assert all(0 < rate <= 2.0 for rate in rates)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def test_without_warm_up_it_is_half_a_cosine():
    rates = [rate_at(step, 4, peak=1.0, warmup=0.0) for step in range(4)]
    assert rates == pytest.approx([1.0, 0.8536, 0.5, 0.1464], abs=1e-4)
