import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convlens.arithmetic import ArithmeticSettingError, conv2d

# torch says that it may copy the input for an even kernel with padding 'same'.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")

LECTURE_INPUT = [[3, 3, 2, 1, 0], [0, 0, 1, 3, 1], [3, 1, 2, 2, 3], [2, 0, 0, 2, 2], [2, 0, 0, 0, 1]]
LECTURE_KERNEL = [[0, 1, 2], [2, 2, 0], [0, 1, 2]]


def pairs(low, high):
    return st.integers(low, high) | st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def layers(draw):
    """A torch layer with whole numbers as weights, and an input that fits it."""
    groups = draw(st.integers(1, 3))
    kernel_size = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride, dilation = draw(pairs(1, 3)), draw(pairs(1, 3))
    padding = draw(pairs(0, 3) | st.just("valid") | (st.just("same") if stride == 1 else st.nothing()))
    mode = draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
    layer = torch.nn.Conv2d(
        groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2)), kernel_size, stride=stride,
        padding=padding, dilation=dilation, groups=groups, bias=draw(st.booleans()), padding_mode=mode,
        dtype=torch.float64,
    )  # fmt: skip
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.from_numpy(numbers.integers(-9, 10, parameter.shape)))
    size = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    x = numbers.integers(-99, 100, (*draw(st.sampled_from([(), (1,), (2,)])), layer.in_channels, *size))
    return layer, x


def ours(layer, x, dtype):
    return conv2d(
        x.astype(dtype), layer.weight.detach().numpy().astype(dtype),
        None if layer.bias is None else layer.bias.detach().numpy().astype(dtype), stride=layer.stride,
        padding=layer.padding, dilation=layer.dilation, groups=layer.groups, padding_mode=layer.padding_mode,
    )  # fmt: skip


@settings(max_examples=1500)
@given(layers())
def test_equals_torch_exactly_on_whole_numbers_and_refuses_what_it_refuses(drawn):
    layer, x = drawn
    try:
        expected = layer(torch.from_numpy(x).double()).detach().numpy()
    except RuntimeError:
        with pytest.raises(ArithmeticSettingError):
            ours(layer, x, np.int64)
        return
    for dtype in (np.int64, np.int16, np.float32, np.float64):
        y = ours(layer, x, dtype)
        assert y.dtype == (np.int64 if dtype is np.int16 else dtype)
        np.testing.assert_array_equal(y, expected)


@settings(max_examples=100)
@given(layers(), st.sampled_from([np.float16, np.float32, np.float64, np.complex64]), st.integers(0, 2**32 - 1))
def test_floats_agree_with_torch_to_rounding(drawn, dtype, seed):
    layer, x = drawn
    x = np.random.default_rng(seed).normal(size=x.shape)
    try:
        expected = layer(torch.from_numpy(x)).detach().numpy()
    except RuntimeError:
        assume(False)
    y = ours(layer, x, dtype)
    assert y.dtype == dtype
    size = np.abs(layer.weight.detach().numpy()).sum() * (1 + np.abs(x).max()) + 10
    np.testing.assert_allclose(y, expected, rtol=0, atol=4 * size * np.finfo(dtype).eps)


def test_the_lectures_example():
    assert conv2d(LECTURE_INPUT, LECTURE_KERNEL).tolist() == [[12, 12, 17], [10, 17, 19], [9, 6, 14]]


@settings(max_examples=50)
@given(st.tuples(*[st.integers(0, 3)] * 4), st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
def test_sides_may_differ(sides, mode):
    top, bottom, left, right = sides
    x = np.arange(20).reshape(1, 1, 4, 5)
    torchs = {"zeros": "constant"}.get(mode, mode)
    expected = torch.nn.functional.pad(torch.from_numpy(x), (left, right, top, bottom), mode=torchs)
    y = conv2d(x, [[[[1]]]], padding=((top, bottom), (left, right)), padding_mode=mode)
    np.testing.assert_array_equal(y, expected.numpy())


def test_pixels_do_not_wrap():
    white = np.full((3, 3), 255, np.uint8)
    assert conv2d(white, white).tolist() == [[9 * 255 * 255]]
    assert conv2d(white, white, dtype=np.uint8).dtype == np.uint8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": np.ones((2, 2, 3, 3))}, r"reads 2 channels, but x has 3 .* use weight of shape \(2, 3, 3, 3\)"),
        ({"weight": np.ones((3, 3))}, r"x has shape \(3, 5, 5\) and weight \(3, 3\)"),
        ({"bias": [1, 2, 3]}, r"bias has shape \(3,\); use one number for each of the 2 kernels"),
        ({"groups": 2}, "groups is 2; use a number that divides the 3 input and the 2 output channels"),
        ({"stride": 0}, "stride is 0; use a whole number of at least 1"),
        ({"stride": 1.5}, "stride is 1.5"),
        ({"dilation": (1, 2, 3)}, r"dilation is \(1, 2, 3\)"),
        ({"dilation": 3}, "kernel of 3 cells with dilation 3 spans 7, but the input has only 5"),
        ({"padding": "sane"}, "unknown padding 'sane'; did you mean same"),
        ({"padding": "same", "stride": 2}, "'same' keeps the size only at stride 1"),
        ({"padding": -1}, "padding is -1"),
        ({"padding": (1, (0, 1))}, r"padding is \(1, \(0, 1\)\); use a number"),
        ({"padding": 1.0}, "padding is 1.0"),
        ({"padding_mode": "reflection"}, "unknown padding mode 'reflection'; did you mean reflect"),
        ({"padding": 5, "padding_mode": "reflect"}, "can add at most 4 cells to an axis of 5"),
        ({"padding": 6, "padding_mode": "circular"}, "can add at most 5 cells to an axis of 5"),
        ({"weight": [["a"]]}, "weight"),
    ],
)
def test_errors_name_the_argument_its_value_and_the_remedy(arguments, message):
    from convlens.errors import ConvlensError

    given = {"x": np.ones((3, 5, 5)), "weight": np.ones((2, 3, 3, 3))} | arguments
    with pytest.raises(ConvlensError, match=message):
        conv2d(**given)
