import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from convlens.arithmetic import ArithmeticSettingError, geometry

sizes = st.tuples(st.integers(1, 40), st.integers(1, 7), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3))


@given(sizes)
def test_output_size_is_torchs(drawn):
    size, kernel_size, stride, padding, dilation = drawn
    setting = {"stride": stride, "padding": padding, "dilation": dilation}
    x = torch.zeros(1, 1, size, device="meta")
    weight = torch.zeros(1, 1, kernel_size, device="meta")
    assert (
        geometry.transposed_size(99, kernel_size, **setting)
        == torch.nn.functional.conv_transpose1d(torch.zeros(1, 1, 99, device="meta"), weight, **setting).shape[2]
    )
    if size + 2 * padding < geometry.dilated_extent(kernel_size, dilation):
        with pytest.raises(ArithmeticSettingError, match="use a larger input, more padding"):
            geometry.output_size(size, kernel_size, **setting)
        return
    expected = torch.nn.functional.conv1d(x, weight, **setting).shape[2]
    assert geometry.output_size(size, kernel_size, **setting) == expected
    assert geometry.written_output_size(size, kernel_size, **setting).endswith(f"= {expected}")


@given(st.integers(1, 30), st.integers(1, 7), st.integers(1, 4))
def test_same_keeps_the_size_and_full_is_every_overlap(size, kernel_size, dilation):
    assert geometry.output_size(size, kernel_size, padding="same", dilation=dilation) == size
    extent = geometry.dilated_extent(kernel_size, dilation)
    assert geometry.output_size(size, kernel_size, padding="full", dilation=dilation) == size + extent - 1


@given(st.integers(1, 20), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2))
def test_a_transposed_convolution_undoes_the_size(size, kernel_size, stride, padding):
    if (size - 1) * stride - 2 * padding + kernel_size < 1:
        return
    larger = geometry.transposed_size(size, kernel_size, stride=stride, padding=padding)
    assert geometry.output_size(larger, kernel_size, stride=stride, padding=padding) == size


@pytest.mark.parametrize(("groups", "bias"), [(1, True), (2, False), (4, True)])
def test_parameters_and_macs_are_those_of_the_module(groups, bias):
    layer = torch.nn.Conv2d(4, 8, (3, 5), groups=groups, bias=bias)
    assert geometry.parameters(4, 8, (3, 5), groups=groups, bias=bias) == sum(p.numel() for p in layer.parameters())
    assert geometry.macs(4, 8, (3, 5), (6, 7), groups=groups) == 6 * 7 * layer.weight.numel()


def test_numbers_of_numpy_are_numbers():
    assert geometry.output_size(np.int64(5), np.int64(3), padding=np.int64(1)) == 5


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"stride": 0}, "stride is 0; use a whole number of at least 1"),
        ({"dilation": -1}, "dilation is -1"),
        ({"padding": -1}, "padding is -1; use numbers that are 0 or more"),
        ({"padding": "sam"}, "unknown padding 'sam'; did you mean same"),
    ],
)
def test_errors_name_the_argument_its_value_and_the_remedy(setting, message):
    from convlens.errors import ConvlensError

    for function in (geometry.output_size, geometry.pooled_size, geometry.transposed_size):
        with pytest.raises(ConvlensError, match=message):
            function(5, 3, **setting)


def test_the_arithmetic_is_reached_from_convlens_without_torch():
    code = (
        "import sys, convlens; a = convlens.arithmetic; a.conv2d([[1]], [[2]]); a.kernels.named('sobel');"
        "a.animation.FORMATS; sys.exit('torch' in sys.modules or 'PIL' in sys.modules or 'matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
