"""Pooling, normalisation, activations, sums, copies: each against torch, with odd sizes and channels."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

kernels = pytest.importorskip("convlens_kernels")
DTYPES = ["float32", "bfloat16"]
SHAPES = [(1, 1, 1), (3, 7, 5), (16, 4, 4), (33, 9, 1), (50, 13, 17)]


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def rounded(array, dtype):
    return torch.from_numpy(array).to(getattr(torch, dtype)).float()


def close(found, expected, dtype="float32"):
    np.testing.assert_allclose(
        found,
        np.asarray(expected),
        rtol=1e-5 if dtype == "float32" else 1.2e-2,
        atol=2e-6 if dtype == "float32" else 1e-2,
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 7, 5), (16, 8, 8), (33, 9, 11)])
@pytest.mark.parametrize("window", [(2, 2, 0), (3, 2, 1), (3, 1, 1), (3, 3, 0), (5, 4, 2)])
def test_pool(run_step, dtype, shape, window):
    kernel, stride, padding = window
    x = random(2, *shape)
    x_rounded = rounded(x, dtype)
    step = {"op": "pool", "kernel": [kernel] * 2, "stride": [stride] * 2, "padding": [padding] * 4}
    for ceil in (False, True):
        largest = F.max_pool2d(x_rounded, kernel, stride, padding, ceil_mode=ceil)
        close(run_step(step | {"kind": "max"}, x, largest.shape[1:], dtype=dtype, threads=2), largest, dtype)
        for include in (False, True):
            mean = F.avg_pool2d(x_rounded, kernel, stride, padding, ceil_mode=ceil, count_include_pad=include)
            fields = {"kind": "average", "count_include_pad": include}
            close(run_step(step | fields, x, mean.shape[1:], dtype=dtype), mean, dtype)
    mean = F.avg_pool2d(x_rounded, kernel, stride, padding, divisor_override=7)
    close(run_step(step | {"kind": "average", "divisor": 7}, x, mean.shape[1:], dtype=dtype), mean, dtype)


def test_max_pool_with_dilation_and_what_is_no_number(run_step):
    x = random(1, 17, 9, 9)
    x[0, 3, 4, 4], x[0, 4, 2, 2], x[0, 5, :, :] = np.nan, np.inf, -np.inf
    expected = F.max_pool2d(torch.from_numpy(x), 3, 2, 1, dilation=2)
    step = {"op": "pool", "kind": "max", "kernel": [3, 3], "stride": [2, 2], "padding": [1] * 4, "dilation": [2, 2]}
    np.testing.assert_array_equal(run_step(step, x, expected.shape[1:]), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 7)])
def test_adaptive_pool(run_step, dtype, shape, size):
    x = random(2, *shape)
    for kind, reference in (("average", F.adaptive_avg_pool2d), ("max", F.adaptive_max_pool2d)):
        expected = reference(rounded(x, dtype), size)
        close(
            run_step({"op": "adaptive_pool", "kind": kind}, x, expected.shape[1:], dtype=dtype, threads=2),
            expected,
            dtype,
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_normalisation_and_softmax(run_step, dtype, shape):
    x, weight, bias = 3 * random(2, *shape), random(shape[0], seed=1), random(shape[0], seed=2)
    x_rounded = rounded(x, dtype)
    expected = F.layer_norm(
        x_rounded.permute(0, 2, 3, 1), shape[:1], torch.from_numpy(weight), torch.from_numpy(bias), 1e-6
    )
    found = run_step(
        {"op": "layer_norm", "epsilon": 1e-6}, x, shape, {"weight": weight, "bias": bias}, dtype=dtype, threads=2
    )
    np.testing.assert_allclose(
        found,
        expected.permute(0, 3, 1, 2),
        rtol=2e-2 if dtype == "bfloat16" else 2e-5,
        atol=2e-2 if dtype == "bfloat16" else 2e-5,
    )
    close(run_step({"op": "softmax"}, x, shape, dtype=dtype), F.softmax(x_rounded, 1), dtype)
    for size, alpha, beta, k in [(5, 1e-4, 0.75, 1.0), (5, 1e-4, 0.75, 2.0), (4, 0.3, 0.5, 1.0), (1, 1.0, 1.0, 0.5)]:
        expected = F.local_response_norm(x_rounded, size, alpha, beta, k) if shape[0] > 1 or size == 1 else None
        if expected is None:
            continue
        step = {"op": "local_response_norm", "size": size, "alpha": alpha, "beta": beta, "k": k}
        close(run_step(step, x, shape, dtype=dtype, threads=2), expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_per_channel_and_two_tensors(run_step, dtype, shape):
    x, weight, bias = random(3, *shape), random(shape[0], seed=1), random(shape[0], seed=2)
    x_rounded, w, b = rounded(x, dtype), torch.from_numpy(weight)[:, None, None], torch.from_numpy(bias)[:, None, None]
    scaled = run_step(
        {"op": "scale_shift", "activation": "relu"}, x, shape, {"weight": weight, "bias": bias}, dtype=dtype
    )
    close(scaled, F.relu(x_rounded * w + b), dtype)
    close(
        run_step({"op": "prelu"}, x, shape, {"weight": weight}, dtype=dtype),
        F.prelu(x_rounded, torch.from_numpy(weight)),
        dtype,
    )
    close(
        run_step({"op": "prelu"}, x, shape, {"weight": weight[:1]}, dtype=dtype),
        F.prelu(x_rounded, torch.from_numpy(weight[:1])),
        dtype,
    )
    channels, height, width = shape
    for other_shape in [shape, (channels, 1, 1), (1, height, width)]:
        other = random(3, *other_shape, seed=3)
        o = rounded(other, dtype)
        for kind, expected in (("add", x_rounded + o), ("multiply", x_rounded * o), ("subtract", x_rounded - o)):
            step = {"op": "binary", "kind": kind, "activation": "silu"}
            close(run_step(step, x, shape, dtype=dtype, threads=2, other=other), F.silu(expected), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_copies(run_step, dtype):
    x = random(2, 58, 5, 6)
    x_rounded = rounded(x, dtype)
    shuffle = torch.arange(58).reshape(2, 29).T.reshape(-1).tolist()
    for channels in (shuffle, list(range(16, 48)), list(range(5, 40)), [57], [0] * 20):
        found = run_step(
            {"op": "gather_channels", "channels": channels}, x, (len(channels), 5, 6), dtype=dtype, threads=2
        )
        np.testing.assert_array_equal(found, x_rounded[:, channels])
    expected = F.pad(x_rounded, (1, 2, 0, 3), value=-1.5)
    step = {"op": "pad", "padding": [0, 3, 1, 2], "value": -1.5}
    np.testing.assert_array_equal(run_step(step, x, expected.shape[1:], dtype=dtype), expected)
    expected = F.interpolate(x_rounded, size=(11, 9), mode="nearest")
    np.testing.assert_array_equal(run_step({"op": "upsample"}, x, (58, 11, 9), dtype=dtype), expected)


def test_concatenation_at_any_channel():
    x, y = random(2, 10, 3, 3), random(2, 23, 3, 3)
    tensors = [
        {"channels": 10, "height": 3, "width": 3, "layout": "nchw"},
        {"channels": 23, "height": 3, "width": 3, "layout": "nchw"},
        {"channels": 10, "height": 3, "width": 3, "offset": 0},
        {"channels": 23, "height": 3, "width": 3, "offset": 576},
        {"channels": 33, "height": 3, "width": 3, "offset": 1728},
        {"channels": 33, "height": 3, "width": 3, "layout": "nchw"},
    ]
    steps = [
        {"op": "convert", "x": 0, "y": 2},
        {"op": "convert", "x": 1, "y": 3},
        {"op": "gather_channels", "x": 2, "y": 4, "channels": list(range(10))},
        {"op": "gather_channels", "x": 3, "y": 4, "channels": list(range(23)), "y_channel": 10},
        {"op": "convert", "x": 4, "y": 5},
    ]
    program = kernels.Program({"arena": 3456, "inputs": [0, 1], "outputs": [5], "tensors": tensors, "steps": steps}, [])
    np.testing.assert_array_equal(program.run(x, y), np.concatenate([x, y], 1))


@pytest.mark.parametrize("compute", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (40, 1, 1), (16, 3, 3), (21, 2, 5)])
@pytest.mark.parametrize("outputs", [1, 10, 16, 33, 100])
def test_linear(run_step, compute, shape, outputs):
    features = int(np.prod(shape))
    x, w, b = random(2, *shape), random(outputs, features, seed=1) / features**0.5, random(outputs, seed=2)
    expected = F.silu(F.linear(torch.from_numpy(x).flatten(1), torch.from_numpy(w), torch.from_numpy(b)))
    for dtype in DTYPES:
        step = {"op": "linear", "activation": "silu", "compute": compute}
        found = run_step(step, x, (outputs, 1, 1), {"weight": w, "bias": b}, dtype=dtype, threads=2)
        exact = dtype == compute == "float32"
        np.testing.assert_allclose(
            found[:, :, 0, 0], expected, rtol=1e-4 if exact else 3e-2, atol=1e-5 if exact else 4e-2
        )
