import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convlens.arithmetic import ArithmeticSettingError, conv2d, conv_transpose2d, transposed_steps


def pairs(low, high):
    return st.integers(low, high) | st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def layers(draw):
    """Arguments of a transposed convolution of whole numbers."""
    groups = draw(st.integers(1, 3))
    channels, kernels = groups * draw(st.integers(1, 2)), draw(st.integers(1, 2))
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    batch = draw(st.sampled_from([(), (1,), (2,)]))
    x = numbers.integers(-99, 100, (*batch, channels, *size))
    weight = numbers.integers(-9, 10, (channels, kernels, *draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))))
    bias = numbers.integers(-9, 10, kernels * groups) if draw(st.booleans()) else None
    setting = {
        "stride": draw(pairs(1, 3)), "padding": draw(pairs(0, 3)), "output_padding": draw(pairs(0, 2)),
        "dilation": draw(pairs(1, 3)), "groups": groups,
    }  # fmt: skip
    return x, weight, bias, setting


@settings(max_examples=1000)
@given(layers())
def test_equals_torch_exactly_on_whole_numbers_and_refuses_what_it_refuses(drawn):
    x, weight, bias, setting = drawn
    tensors = [None if array is None else torch.from_numpy(array).double() for array in (x, weight, bias)]
    try:
        expected = torch.nn.functional.conv_transpose2d(*tensors, **setting).numpy()
    except RuntimeError:
        with pytest.raises(ArithmeticSettingError):
            conv_transpose2d(x, weight, bias, **setting)
        return
    y = conv_transpose2d(x, weight, bias, **setting)
    assert y.dtype == np.int64
    np.testing.assert_array_equal(y, expected)
    if x.ndim == 3:
        walk = transposed_steps(x, weight, bias, **setting)
        np.testing.assert_array_equal([step.sum + (step.bias or 0) for step in walk], y.ravel())
        np.testing.assert_array_equal([step.output for step in walk], y.ravel())


@settings(max_examples=200)
@given(layers())
def test_is_the_transpose_of_the_convolution(drawn):
    """⟨conv(a), b⟩ = ⟨a, transposed(b)⟩ for every a and b: the defining law of a transpose."""
    b, weight, _, setting = drawn
    assume(b.ndim == 3)
    try:
        back = conv_transpose2d(b, weight, **setting)
    except ArithmeticSettingError:
        assume(False)
    a = np.random.default_rng(0).integers(-9, 10, back.shape)
    forward = conv2d(a, weight, **{name: value for name, value in setting.items() if name != "output_padding"})
    assume(forward.shape == b.shape)  # an output padding of a whole stride, which dilation allows, adds a window
    assert (forward * b).sum() == (a * back).sum()


def test_sides_may_differ():
    x, kernel = [[1, 2], [3, 4]], [[1, 0], [0, 1]]
    whole = conv_transpose2d(x, kernel)
    np.testing.assert_array_equal(conv_transpose2d(x, kernel, padding=((1, 0), (0, 1))), whole[1:, :-1])


def test_a_step_reads_the_stretched_input():
    walk = transposed_steps([[1, 2], [3, 4]], [[1, 2, 3]], 5, stride=2, padding=(0, 1), output_padding=(1, 0))
    assert walk.padded.tolist() == [[0, 1, 0, 2, 0], [0] * 5, [0, 3, 0, 4, 0], [0] * 5]
    assert walk.source_columns.tolist() == [-1, 0, -1, 1, -1]
    assert walk[1].written() == "1·3 + 0·2 + 2·1 + 5 = 10"
    assert walk.padding == ((0, 1), (1, 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": np.ones((2, 2, 3, 3))}, "reads 2 channels, but x has 3"),
        ({"weight": np.ones((3, 3))}, r"x has shape \(3, 5, 5\) and weight \(3, 3\)"),
        ({"groups": 2}, "groups is 2; use a number that divides the 3 input channels"),
        ({"output_padding": 2, "stride": 2}, r"output_padding is 2, which must be below the stride \(2, 2\)"),
        ({"output_padding": -1}, "output_padding is -1; use a whole number of at least 0"),
        ({"padding": 4}, "would give -1: padding 4 [+] 4 cuts everything away"),
        ({"padding": "same"}, "padding is 'same'; a transposed convolution takes numbers"),
        ({"bias": [1]}, r"bias has shape \(1,\); use one number for each of the 2 kernels"),
    ],
)
def test_errors_name_the_argument_its_value_and_the_remedy(arguments, message):
    given = {"x": np.ones((3, 5, 5)), "weight": np.ones((3, 2, 3, 3))} | arguments
    with pytest.raises(ArithmeticSettingError, match=message):
        conv_transpose2d(**given)
