import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convlens.arithmetic import (
    ArithmeticSettingError,
    autocorrelate,
    avg_pool2d,
    conv2d,
    convolve,
    max_pool2d,
    pool_steps,
    steps,
)
from convlens.errors import UnknownNameError

LECTURE_INPUT = [[3, 3, 2, 1, 0], [0, 0, 1, 3, 1], [3, 1, 2, 2, 3], [2, 0, 0, 2, 2], [2, 0, 0, 0, 1]]
LECTURE_KERNEL = [[0, 1, 2], [2, 2, 0], [0, 1, 2]]


def test_a_step_of_the_lectures_example():
    step = steps(LECTURE_INPUT, LECTURE_KERNEL)[4].to_dict()
    assert step == {
        "index": 4,
        "output_cell": [0, 1, 1],
        "position": [1, 1],
        "rows": [1, 2, 3],
        "columns": [1, 2, 3],
        "channels": [0, 1],
        "input_patch": [[0, 1, 3], [1, 2, 2], [0, 0, 2]],
        "kernel": LECTURE_KERNEL,
        "products": [[0, 1, 6], [2, 4, 0], [0, 0, 4]],
        "counted": None,
        "chosen": None,
        "sum": 17,
        "bias": None,
        "divisor": None,
        "output": 17,
        "written": "0·0 + 1·1 + 3·2 + 1·2 + 2·2 + 2·0 + 0·0 + 0·1 + 2·2 = 17",
    }


@given(
    st.integers(1, 2), st.sampled_from([1, 2, (1, 2)]), st.sampled_from([0, 1, (2, 1), ((0, 1), (2, 0)), "full"]),
    st.sampled_from([1, 2, (2, 1)]), st.sampled_from(["zeros", "reflect", "replicate", "circular"]),
)  # fmt: skip
def test_steps_give_what_the_layer_gives(groups, stride, padding, dilation, padding_mode):
    numbers = np.random.default_rng(0)
    x, weight = numbers.integers(-9, 9, (2, 6, 7)), numbers.integers(-9, 9, (4, 2 // groups, 2, 3))
    bias = numbers.integers(-9, 9, 4)
    setting = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    walk = steps(x, weight, bias, padding_mode=padding_mode, **setting)
    y = conv2d(x, weight, bias, padding_mode=padding_mode, **setting)
    np.testing.assert_array_equal(walk.output, y)
    assert [step.index for step in walk] == list(range(y.size))
    for step in walk:
        assert step.sum == step.products.sum() == (step.input_patch * step.kernel).sum()
        assert step.sum + step.bias == step.output == y[step.output_cell]
        for row, column in np.ndindex(step.input_patch.shape[1:]):
            source = walk.source_rows[step.rows[row]], walk.source_columns[step.columns[column]]
            expected = x[slice(*step.channels), *source] if -1 not in source else 0
            np.testing.assert_array_equal(step.input_patch[:, row, column], expected)


def test_a_convolution_flips_and_an_autocorrelation_needs_no_kernel():
    flipped = steps(LECTURE_INPUT, LECTURE_KERNEL, operation="convolution", padding="full")
    np.testing.assert_array_equal(flipped.output, convolve(LECTURE_INPUT, LECTURE_KERNEL))
    assert flipped[0].kernel.tolist() == [[2, 1, 0], [0, 2, 2], [2, 1, 0]]
    assert flipped.kernel.tolist() == LECTURE_KERNEL
    alike = steps(LECTURE_INPUT, operation="autocorrelation", padding="full")
    np.testing.assert_array_equal(alike.output, autocorrelate(LECTURE_INPUT))


@given(
    st.sampled_from(["max", "average"]), st.sampled_from([2, 3, (2, 3)]), st.sampled_from([None, 1, 2, 3]),
    st.sampled_from([0, 1]), st.booleans(), st.booleans(), st.sampled_from([None, 5]),
)  # fmt: skip
def test_pool_steps_give_what_the_pooling_gives(operation, size, stride, padding, ceil_mode, include, divisor):
    x = np.random.default_rng(1).integers(-9, 9, (2, 5, 6))
    setting = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    counting = {"count_include_pad": include, "divisor_override": divisor}
    walk = pool_steps(x, size, operation=operation, **setting, **counting)
    y = max_pool2d(x, size, **setting) if operation == "max" else avg_pool2d(x, size, **setting, **counting)
    np.testing.assert_array_equal(walk.output, y)
    for step in walk:
        counted = step.input_patch[0][step.counted]
        assert step.output == y[step.output_cell]
        if operation == "max":
            assert step.output == counted.max() == walk.padded[step.output_cell[0], *step.chosen]
        else:
            assert step.output == counted.sum() / step.divisor


def test_everything_can_be_written_as_json():
    walk = steps(np.array([[1.5, np.inf]], np.float32), [[2.0]], 1)
    shown = json.loads(json.dumps(walk.to_dict(), allow_nan=False))
    assert shown["x"] == [[1.5, None]]
    assert [step["output"] for step in shown["steps"]] == [4.0, None]
    assert "steps" not in walk.to_dict(with_steps=False)
    json.dumps(pool_steps(LECTURE_INPUT, 2, operation="average").to_dict(), allow_nan=False)


def test_a_walk_is_a_sequence():
    walk = steps(LECTURE_INPUT, LECTURE_KERNEL)
    assert len(walk) == 9
    assert walk[-1].output == 14
    assert [step.output for step in walk[:2]] == [12, 12]
    with pytest.raises(IndexError):
        walk[9]


def test_errors_name_the_argument_its_value_and_the_remedy():
    with pytest.raises(UnknownNameError, match="unknown operation 'convolute'; did you mean convolution"):
        steps(LECTURE_INPUT, LECTURE_KERNEL, operation="convolute")
    with pytest.raises(ArithmeticSettingError, match="a correlation needs a kernel"):
        steps(LECTURE_INPUT)
    with pytest.raises(ArithmeticSettingError, match="takes no kernel"):
        steps(LECTURE_INPUT, LECTURE_KERNEL, operation="autocorrelation")
    with pytest.raises(ArithmeticSettingError, match="one image"):
        steps(np.zeros((1, 1, 5, 5)), np.zeros((1, 1, 3, 3)))
    with pytest.raises(UnknownNameError, match="unknown pooling 'maximum'"):
        pool_steps(LECTURE_INPUT, 2, operation="maximum")


def test_cells_that_no_window_reaches_are_shown_all_the_same():
    walk = pool_steps(np.arange(16).reshape(4, 4), 3)
    assert walk.padded.tolist() == np.arange(16).reshape(4, 4).tolist()
    assert walk.output.tolist() == [[10]]


@pytest.mark.parametrize("operation", ["convolution", "pooling"])
def test_only_the_inputs_own_cells_are_the_inputs(operation):
    x = np.ones((2, 2))
    walk = pool_steps(x, 2, stride=1, padding=1) if operation == "pooling" else steps(x, np.ones((2, 2)), padding=1)
    own = [[walk.is_input(row, column) for column in range(4)] for row in range(4)]
    assert np.array_equal(own, np.pad(np.ones((2, 2), bool), 1))
