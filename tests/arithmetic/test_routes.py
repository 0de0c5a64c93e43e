import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convlens.arithmetic import ArithmeticSettingError, conv2d
from convlens.arithmetic.routes import (
    F2,
    F4,
    ROUTES,
    depthwise_separable,
    fft,
    im2col,
    multiplications,
    separable,
    winograd2,
    winograd4,
)


def drawn(seed, kernel_size, size, dtype=np.float64):
    numbers = np.random.default_rng(seed)
    return numbers.normal(size=(2, 3, *size)).astype(dtype), numbers.normal(size=(4, 3, *kernel_size)).astype(dtype)


@settings(max_examples=200)
@given(
    st.sampled_from([im2col, fft]),
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(9, 12), st.integers(9, 12)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.integers(0, 2) | st.just(((0, 1), (2, 0))),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
)
def test_any_setting_goes_by_these_routes(route, seed, kernel_size, size, stride, padding, dilation):
    x, weight = drawn(seed, kernel_size, size)
    setting = {"stride": stride, "padding": padding, "dilation": dilation}
    np.testing.assert_allclose(route(x, weight, **setting), conv2d(x, weight, **setting), atol=1e-12)


@settings(max_examples=100)
@given(
    st.sampled_from([winograd2, winograd4]), st.integers(0, 2**32 - 1),
    st.tuples(st.integers(3, 12), st.integers(3, 12)), st.integers(0, 2),
)  # fmt: skip
def test_winograd_gives_every_cell_of_any_size(route, seed, size, padding):
    x, weight = drawn(seed, (3, 3), size)
    np.testing.assert_allclose(route(x, weight, padding=padding), conv2d(x, weight, padding=padding), atol=1e-11)


@pytest.mark.parametrize("transforms", [F2, F4])
def test_winograds_identity_holds_on_one_axis(transforms):
    """For every input cell and every tap, so by linearity for all numbers: y[m] = Σ g[i] d[m + i]."""
    cells, tile = transforms.output.shape
    for place in range(tile):
        for tap in range(3):
            d, g = np.eye(tile)[place], np.eye(3)[tap]
            y = transforms.output @ ((transforms.kernel @ g) * (transforms.input @ d))
            np.testing.assert_allclose(y, [float(m + tap == place) for m in range(cells)], atol=1e-12)


@pytest.mark.parametrize("route", sorted(ROUTES))
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_dtype_is_kept(route, dtype):
    x, weight = drawn(0, (3, 3), (8, 8), dtype)
    assert ROUTES[route](x, weight).dtype == dtype


def test_integers_stay_exact_where_nothing_is_a_fraction():
    x, weight = np.full((1, 2, 5, 5), 255, np.uint8), np.full((1, 2, 3, 3), 200, np.uint8)
    assert im2col(x, weight).tolist() == conv2d(x, weight).tolist()
    for route in (fft, winograd2, winograd4, separable):
        np.testing.assert_allclose(route(x, weight), conv2d(x, weight), rtol=1e-12)


def test_winograd_loses_more_digits_with_larger_tiles():
    x, weight = drawn(1, (3, 3), (64, 64), np.float32)
    exact = conv2d(x.astype(np.float64), weight.astype(np.float64))
    errors = [np.abs(route(x, weight) - exact).max() for route in (conv2d, winograd2, winograd4)]
    assert errors[0] < errors[2]
    assert errors[1] < errors[2] < 1e-3


def test_the_separable_kernels_are_the_nearest():
    _, weight = drawn(2, (3, 3), (8, 8))
    depthwise, pointwise = depthwise_separable(weight)
    nearest = np.linalg.norm(weight - pointwise * depthwise[None, :, 0])
    per_channel = weight.transpose(1, 0, 2, 3).reshape(3, 4, 9)
    rest = np.linalg.svd(per_channel, compute_uv=False)[:, 1:]
    assert nearest == pytest.approx(np.sqrt((rest**2).sum()))
    x, _ = drawn(3, (3, 3), (8, 8))
    np.testing.assert_allclose(separable(x, weight), conv2d(x, pointwise * depthwise[None, :, 0]), atol=1e-12)


def test_the_cost_of_the_sum_is_the_layers_macs():
    from convlens.arithmetic.geometry import macs

    assert multiplications("direct", 3, 64, (7, 7), (112, 112)) == macs(3, 64, (7, 7), (112, 112))
    assert multiplications("fft", 64, 64, (31, 31), (64, 64)) < multiplications("direct", 64, 64, (31, 31), (64, 64))
    assert all(multiplications(route, 2, 2, (3, 3), (8, 8)) > 0 for route in ROUTES)


def test_winograd_is_for_3_by_3():
    with pytest.raises(ArithmeticSettingError, match="the kernel is 5×5; this route is for 3×3"):
        winograd4(*drawn(0, (5, 5), (8, 8)))
