import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from convlens.arithmetic import ArithmeticSettingError, autocorrelate, conv2d, convolve, correlate
from convlens.errors import UnknownNameError

whole = st.integers(-50, 50)
signals = st.integers(1, 9).flatmap(lambda n: arrays(np.int64, n, elements=whole))
images = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(lambda shape: arrays(np.int64, shape, elements=whole))
both = st.tuples(signals, signals) | st.tuples(images, images)


@given(both)
def test_convolution_is_commutative(drawn):
    x, kernel = drawn
    np.testing.assert_array_equal(convolve(x, kernel), convolve(kernel, x))


@given(both, st.sampled_from(["full", "same"]))
def test_correlation_is_convolution_with_the_flipped_kernel(drawn, mode):
    x, kernel = drawn
    np.testing.assert_array_equal(correlate(x, kernel, mode), convolve(x, np.flip(kernel), mode))


@given(both)
def test_swapping_a_correlation_reverses_it(drawn):
    x, kernel = drawn
    np.testing.assert_array_equal(correlate(x, kernel), np.flip(correlate(kernel, x)))


@given(signals | images)
def test_the_autocorrelation_is_even_and_peaks_at_lag_0_with_the_energy(x):
    y = autocorrelate(x)
    middle = tuple(n - 1 for n in x.shape)
    np.testing.assert_array_equal(y, np.flip(y))
    assert y[middle] == (x * x).sum() == y.max()


@given(st.tuples(signals, signals))
def test_signals_agree_with_numpy(drawn):
    x, kernel = drawn
    np.testing.assert_array_equal(convolve(x, kernel), np.convolve(x, kernel))
    if len(kernel) <= len(x):
        for mode in ("same", "valid"):
            np.testing.assert_array_equal(convolve(x, kernel, mode), np.convolve(x, kernel, mode))
            np.testing.assert_array_equal(correlate(x, kernel, mode), np.correlate(x, kernel, mode))


@given(st.tuples(signals, signals))
def test_convolution_multiplies_spectra(drawn):
    x, kernel = drawn
    length = len(x) + len(kernel) - 1
    spectrum = np.fft.fft(x, length) * np.fft.fft(kernel, length)
    np.testing.assert_allclose(np.fft.fft(convolve(x, kernel)), spectrum, atol=1e-7)


@given(st.tuples(images, images))
def test_images_agree_with_the_layer(drawn):
    x, kernel = drawn
    np.testing.assert_array_equal(correlate(x, kernel), conv2d(x, kernel, padding="full"))
    if all(k <= n for n, k in zip(x.shape, kernel.shape, strict=True)):
        np.testing.assert_array_equal(correlate(x, kernel, "valid"), conv2d(x, kernel))


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_complex_signals_are_conjugated_as_in_numpy(mode):
    numbers = np.random.default_rng(0)
    x, kernel = (numbers.normal(size=n) + 1j * numbers.normal(size=n) for n in (7, 4))
    np.testing.assert_allclose(correlate(x, kernel, mode), np.correlate(x, kernel, mode), rtol=1e-12)
    assert autocorrelate(x)[len(x) - 1] == pytest.approx(np.sum(np.abs(x) ** 2))


def test_the_kernel_may_be_longer_than_the_signal():
    assert convolve([1, 2], [3, 4, 5], "valid").tolist() == convolve([3, 4, 5], [1, 2], "valid").tolist() == [10, 13]
    assert convolve([1, 2], [3, 4, 5], "same").shape == (2,)


def test_errors_name_the_argument_its_value_and_the_remedy():
    with pytest.raises(UnknownNameError, match="unknown mode 'fill'; did you mean full"):
        correlate([1], [1], "fill")
    with pytest.raises(ArithmeticSettingError, match=r"shape \(2,\) and the kernel \(1, 1\); use two signals"):
        correlate([1, 2], [[1]])
    with pytest.raises(ArithmeticSettingError, match="neither may be empty"):
        convolve([], [1])
    with pytest.raises(ArithmeticSettingError, match=r"neither \(1, 2\) nor \(2, 1\) fits into the other"):
        convolve([[1, 2]], [[1], [2]], "valid")
    with pytest.raises(ArithmeticSettingError, match="dtype <U1; use integers, floats or complex"):
        convolve(["a"], [1])
