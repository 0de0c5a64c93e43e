import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from convlens.arithmetic import ArithmeticSettingError, autocorrelate, convolve, correlate, lags

signals = st.integers(1, 9).flatmap(lambda n: arrays(np.int64, n, elements=st.integers(-9, 9)))


@given(signals, signals, st.sampled_from(["correlation", "convolution"]))
def test_every_lag_sums_to_the_result(x, kernel, operation):
    slide = lags(x, kernel, operation=operation)
    expected = convolve(x, kernel) if operation == "convolution" else correlate(x, kernel)
    np.testing.assert_array_equal(slide.output, expected)
    assert [lag.index for lag in slide] == list(range(len(x) + len(kernel) - 1))
    for lag in slide:
        start, end = lag.overlap
        assert 0 <= start < end <= len(x)
        assert lag.sum == lag.products.sum()
        np.testing.assert_array_equal(lag.products, x[start:end] * slide.sliding[start - lag.first : end - lag.first])


@given(signals)
def test_the_autocorrelation_slides_the_signal_itself(x):
    slide = lags(x, operation="autocorrelation")
    np.testing.assert_array_equal(slide.output, autocorrelate(x))
    assert slide[len(x) - 1].first == 0


def test_a_slide_is_a_sequence_and_json():
    slide = lags([1, 2, 3], [1, 1])
    assert [lag.sum for lag in slide[1:]] == [3, 5, 3]
    assert slide[-1].overlap == (2, 3)
    assert json.loads(json.dumps(slide.to_dict()))["lags"][0]["products"] == [1]
    with pytest.raises(IndexError):
        slide[4]


def test_errors_name_the_argument_its_value_and_the_remedy():
    with pytest.raises(ArithmeticSettingError, match="operation is 'correlation', which takes a kernel"):
        lags([1])
    with pytest.raises(ArithmeticSettingError, match="'autocorrelation', which takes no kernel"):
        lags([1], [1], operation="autocorrelation")
    with pytest.raises(ArithmeticSettingError, match=r"shapes \(1, 1\) and \(1,\)"):
        lags([[1]], [1])
