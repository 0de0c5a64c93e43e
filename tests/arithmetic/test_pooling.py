import numpy as np
import pytest
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import from_numpy

from convlens.arithmetic import ArithmeticSettingError, avg_pool2d, max_pool2d

LECTURE = [[2, -4, 2, 2], [0, 1, 0, -1], [2, 1, 0, 2], [5, -3, 1, 4]]


def pairs(low, high):
    return st.integers(low, high) | st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def poolings(draw):
    size = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    x = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).integers(-99, 100, (2, 2, *size))
    setting = {"kernel_size": draw(pairs(1, 4)), "stride": draw(st.none() | pairs(1, 4)), "padding": draw(pairs(0, 2))}
    return x, setting | {"ceil_mode": draw(st.booleans())}


def refused_alike(torchs, ours):
    try:
        expected = torchs().numpy()
    except RuntimeError:
        with pytest.raises(ArithmeticSettingError):
            ours()
        return None
    return expected


@settings(max_examples=1000)
@given(poolings(), pairs(1, 3))
def test_the_maximum_equals_torchs(drawn, dilation):
    x, setting = drawn
    setting |= {"dilation": dilation}
    doubles = x.astype(np.float64)
    expected = refused_alike(
        lambda: F.max_pool2d(from_numpy(doubles), **setting), lambda: max_pool2d(doubles, **setting)
    )
    if expected is not None:
        np.testing.assert_array_equal(max_pool2d(doubles, **setting), expected)
        np.testing.assert_array_equal(
            max_pool2d(x, **setting), F.max_pool2d(from_numpy(x), **setting).numpy(), strict=True
        )


@settings(max_examples=1000)
@given(poolings(), st.booleans(), st.none() | st.integers(1, 9))
def test_the_mean_equals_torchs(drawn, count_include_pad, divisor_override):
    x, setting = drawn
    setting |= {"count_include_pad": count_include_pad, "divisor_override": divisor_override}
    expected = refused_alike(lambda: F.avg_pool2d(from_numpy(x).double(), **setting), lambda: avg_pool2d(x, **setting))
    if expected is not None:
        np.testing.assert_allclose(avg_pool2d(x, **setting), expected, rtol=1e-14)
        single = avg_pool2d(x.astype(np.float32), **setting)
        np.testing.assert_allclose(single, expected, rtol=1e-5, atol=1e-5)
        assert single.dtype == np.float32


def test_the_lectures_example():
    assert max_pool2d(LECTURE, 2).tolist() == [[2, 2], [5, 4]]
    assert avg_pool2d(LECTURE, 2).tolist() == [[-0.25, 0.75], [1.25, 1.75]]


def test_a_nan_is_never_hidden():
    x = np.array([[1.0, np.nan], [3.0, 2.0]])
    assert np.isnan(max_pool2d(x, 2)).all()
    assert np.isnan(avg_pool2d(x, 2)).all()


def test_the_shape_before_rows_and_columns_is_kept():
    assert max_pool2d(np.zeros((4, 4)), 2).shape == (2, 2)
    assert avg_pool2d(np.zeros((5, 3, 4, 4)), 2, stride=1).shape == (5, 3, 3, 3)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"kernel_size": 0}, "kernel_size is 0"),
        ({"kernel_size": 5}, "kernel of 5 cells with dilation 1 spans 5"),
        ({"kernel_size": 2, "padding": 2}, "more than half of the window's 2 cells.* use at most 1"),
        ({"kernel_size": 2, "padding": "same"}, "padding is 'same'; a pooling takes numbers"),
    ],
)
def test_errors_name_the_argument_its_value_and_the_remedy(setting, message):
    with pytest.raises(ArithmeticSettingError, match=message):
        max_pool2d(LECTURE, **setting)
    with pytest.raises(ArithmeticSettingError, match=message):
        avg_pool2d(LECTURE, **setting)


def test_what_cannot_be_pooled_is_refused():
    with pytest.raises(ArithmeticSettingError, match="divisor_override is 0"):
        avg_pool2d(LECTURE, 2, divisor_override=0)
    with pytest.raises(ArithmeticSettingError, match="complex128; the largest is defined for real numbers"):
        max_pool2d(np.zeros((2, 2), complex), 2)
    with pytest.raises(ArithmeticSettingError, match=r"x has shape \(3,\)"):
        max_pool2d([1, 2, 3], 2)


def test_the_mean_counts_padded_cells_unless_told_otherwise():
    x = np.arange(30.0).reshape(1, 5, 6)
    expected = F.avg_pool2d(from_numpy(x), (3, 2), stride=(2, 3), padding=1)
    np.testing.assert_allclose(avg_pool2d(x, (3, 2), stride=(2, 3), padding=1), expected)
