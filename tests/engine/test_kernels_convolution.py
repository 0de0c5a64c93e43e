"""Convolutions against torch: every tile remainder, odd sizes, one-pixel maps, channels not a multiple of 16."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

kernels = pytest.importorskip("convlens_kernels")

ACTIVATIONS = {
    "none": lambda x: x,
    "relu": F.relu,
    "relu6": F.relu6,
    "silu": F.silu,
    "sigmoid": torch.sigmoid,
    "hard_swish": F.hardswish,
    "hard_sigmoid": F.hardsigmoid,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "tanh": torch.tanh,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.1),
}


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def close(found, expected, dtype="float32", of=0.0):
    """Within rounding of the largest value, or of the largest that went into the activation."""
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    scale = max(np.abs(expected).max(), np.abs(of).max()) + 1e-3
    bound = 2e-5 if dtype == "float32" else 2e-2
    assert np.abs(found - expected).max() / scale < bound


def convolve(x, w, b, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    top, bottom, left, right = padding
    padded = F.pad(torch.from_numpy(x).double(), (left, right, top, bottom))
    return F.conv2d(
        padded, torch.from_numpy(w).double(), torch.from_numpy(b).double(), stride, 0, dilation, groups
    ).numpy()


def check(run_step, x, w, *, dtype="float32", threads=1, fields=None, **window):
    b = random(len(w), seed=9)
    expected = convolve(x, w, b, **window)
    step = {"op": "convolution", "kernel": list(w.shape[2:]), "groups": window.get("groups", 1)}
    step |= {k: list(v) for k, v in window.items() if k != "groups"} | (fields or {})
    found = run_step(step, x, expected.shape[1:], {"weight": w, "bias": b}, dtype=dtype, threads=threads)
    close(found, expected, dtype)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("vectors", [1, 2, 3, 4])
def test_every_remainder_of_every_tile(run_step, dtype, vectors):
    tensors = [{"channels": c, "height": 1, "width": 1, "dtype": dtype} for c in (24, 16 * vectors)]
    step = {"op": "convolution", "x": 0, "y": 1}
    tiles = [v["tile"] for v in kernels.variants(step, tensors) if v["tile"][1] == vectors]
    if not tiles:
        pytest.skip(f"{kernels.isa()} has no tile of {vectors} vectors")
    rows = tiles[0][0]
    for pixels in [*range(1, rows + 2), 2 * rows + 1, 61]:
        w = random(16 * vectors - 3, 24, 1, 1, seed=pixels)
        check(run_step, random(1, 24, 1, pixels), w, dtype=dtype, fields={"tile": tiles[0]})


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("channels", [(1, 1), (3, 17), (16, 16), (17, 40), (32, 5), (33, 64)])
@pytest.mark.parametrize("size", [(1, 1), (7, 7), (13, 9)])
def test_kernels_strides_paddings_dilations(run_step, dtype, channels, size):
    inputs, outputs = channels
    x = random(2, inputs, *size)
    for kernel, window in [
        ((1, 1), {}),
        ((1, 1), {"stride": (2, 2)}),
        ((3, 3), {"padding": (1, 1, 1, 1)}),
        (
            (3, 3),
            {"padding": (0, 1, 0, 1), "stride": (2, 2)}
            if min(size) > 1
            else {"padding": (1, 1, 1, 1), "stride": (2, 2)},
        ),
        ((5, 3), {"padding": (2, 2, 1, 1), "stride": (1, 3)}),
        ((3, 3), {"padding": (2, 2, 2, 2), "dilation": (2, 2)}),
        ((3, 2), {"padding": (4, 4, 3, 3), "dilation": (3, 2), "stride": (3, 2)}),
        ((7, 1), {"padding": (3, 3, 0, 0)}),
        ((1, 7), {"padding": (0, 0, 3, 3)}),
    ]:
        check(run_step, x, random(outputs, inputs, *kernel) * 0.2, dtype=dtype, **window)


def test_no_padding_needs_no_copy(run_step):
    check(run_step, random(1, 20, 9, 11), random(36, 20, 3, 3))
    check(run_step, random(1, 20, 9, 11), random(36, 20, 3, 3), dilation=(2, 3))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("groups", "inputs", "outputs"),
    [(2, 32, 64), (2, 6, 10), (8, 32, 32), (4, 96, 96), (3, 72, 144), (5, 5, 10), (24, 48, 24)],
)
def test_groups(run_step, dtype, groups, inputs, outputs):
    for stride in (1, 2):
        w = random(outputs, inputs // groups, 3, 3) * 0.3
        check(
            run_step,
            random(2, inputs, 8, 7),
            w,
            dtype=dtype,
            groups=groups,
            padding=(1, 1, 1, 1),
            stride=(stride, stride),
        )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 7, 9])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_depthwise(run_step, dtype, kernel, stride):
    for channels, height, width in [(16, 1, 1), (5, 7, 7), (40, 12, 9), (17, 3, 23), (33, 31, 14)]:
        w = random(channels, 1, kernel, kernel) * 0.3
        p = kernel // 2
        check(
            run_step,
            random(1, channels, height, width),
            w,
            dtype=dtype,
            groups=channels,
            stride=(stride, stride),
            padding=(p, p, p, p),
        )
    check(
        run_step,
        random(2, 18, 15, 17),
        random(18, 1, kernel, kernel),
        dtype=dtype,
        groups=18,
        stride=(stride, stride),
        padding=(0, kernel, kernel, 1),
        dilation=(2, 1) if kernel < 9 else (1, 1),
    )


@pytest.mark.parametrize("width", range(1, 19))
def test_every_width_of_a_depthwise_row(run_step, width):
    for kernel, stride in [(3, 1), (5, 2), (7, 1)]:
        p = kernel // 2
        check(
            run_step,
            random(1, 16, 5, width),
            random(16, 1, kernel, kernel),
            groups=16,
            stride=(stride, stride),
            padding=(p, p, p, p),
        )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("size", [(1, 1), (4, 4), (5, 7), (14, 14), (23, 30)])
@pytest.mark.parametrize("channels", [(16, 16), (33, 20), (64, 70)])
def test_winograd(run_step, dtype, size, channels):
    inputs, outputs = channels
    for padding in [(1, 1, 1, 1), (2, 1, 1, 2)]:
        w = random(outputs, inputs, 3, 3) * 0.2
        check(run_step, random(2, inputs, *size), w, dtype=dtype, padding=padding, fields={"variant": "winograd"})
        check(
            run_step,
            random(1, inputs, *size),
            w,
            dtype=dtype,
            padding=padding,
            threads=2,
            fields={"variant": "winograd"},
        )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("variant", ["direct", "winograd", "depthwise"])
def test_activation_residual_and_pool(run_step, dtype, activation, variant):
    groups = 40 if variant == "depthwise" else 1
    x, w, b = 2 * random(1, 40, 9, 10), random(40, 40 // groups, 3, 3) * 0.15, random(40)
    r = random(1, 40, 9, 10, seed=5)
    conv = torch.from_numpy(convolve(x, w, b, padding=(1, 1, 1, 1), groups=groups))
    step = {
        "op": "convolution",
        "kernel": [3, 3],
        "padding": [1, 1, 1, 1],
        "activation": activation,
        "slope": 0.1,
        "variant": variant,
        "groups": groups,
    }
    act = ACTIVATIONS[activation]
    arrays = {"weight": w, "bias": b}
    for threads in (1, 2):
        y, mean = run_step(step, x, (40, 9, 10), arrays, dtype=dtype, threads=threads, pooled=True)
        close(y, act(conv).numpy(), dtype, of=conv.numpy())
        close(mean, act(conv).mean((2, 3)).numpy(), dtype, of=conv.numpy())
    if variant == "depthwise":
        return
    y = run_step(step, x, (40, 9, 10), arrays, dtype=dtype, residual=r)
    close(y, act(conv + torch.from_numpy(r)).numpy(), dtype, of=conv.numpy())
    y, mean = run_step(step | {"residual_after": True}, x, (40, 9, 10), arrays, dtype=dtype, residual=r, pooled=True)
    expected = act(conv) + torch.from_numpy(r)
    close(y, expected.numpy(), dtype, of=conv.numpy())
    close(mean, expected.mean((2, 3)).numpy(), dtype, of=conv.numpy())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gate_and_mean_without_the_map(run_step, dtype):
    x, w, b, g = random(2, 50, 6, 7), random(35, 50, 1, 1) * 0.2, random(35), random(2, 50, 1, 1, seed=4)
    for stride in (1, 2):
        conv = convolve(x * g, w, b, stride=(stride, stride))
        step = {"op": "convolution", "stride": [stride, stride]}
        for threads in (1, 3):
            y = run_step(step, x, conv.shape[1:], {"weight": w, "bias": b}, dtype=dtype, threads=threads, gate=g)
            close(y, conv, dtype)
    mean = run_step(
        {"op": "convolution", "store": False}, x, (35, 6, 7), {"weight": w, "bias": b}, dtype=dtype, pooled=True
    )
    close(mean, convolve(x, w, b).mean((2, 3)), dtype)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_expand_depthwise(run_step, dtype, kernel, stride):
    for inputs, wide, size in [(16, 96, (14, 14)), (5, 30, (9, 11)), (24, 50, (1, 1)), (40, 17, (7, 30))]:
        x, w1, b1 = random(2, inputs, *size), random(wide, inputs, 1, 1) * 0.3, random(wide)
        w2, b2 = random(wide, 1, kernel, kernel) * 0.3, random(wide)
        p = kernel // 2
        middle = F.silu(torch.from_numpy(convolve(x, w1, b1)))
        expected = F.silu(
            F.conv2d(middle, torch.from_numpy(w2).double(), torch.from_numpy(b2).double(), stride, p, groups=wide)
        )
        arrays = {"expand_weight": w1, "expand_bias": b1, "weight": w2, "bias": b2}
        step = {
            "op": "expand_depthwise",
            "expand_activation": "silu",
            "activation": "silu",
            "kernel": [kernel] * 2,
            "stride": [stride] * 2,
            "padding": [p] * 4,
        }
        for threads in (1, 2):
            y, mean = run_step(step, x, tuple(expected.shape[1:]), arrays, dtype=dtype, threads=threads, pooled=True)
            close(y, expected.numpy(), dtype)
            close(mean, expected.mean((2, 3)).numpy(), dtype)


@pytest.mark.parametrize("kernel", [1, 3, 7, 11])
@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_first_layer_from_floats_and_from_bytes(kernel, stride, channels):
    size, outputs = (23, 19), 37
    p = kernel // 2
    w, b = random(outputs, channels, kernel, kernel) * 0.2, random(outputs)
    mean, deviation = (
        np.array([0.48, 0.45, 0.40], np.float32)[:channels],
        np.array([0.22, 0.25, 0.3], np.float32)[:channels],
    )
    images = np.random.default_rng(0).integers(0, 256, (3, *size, channels)).astype(np.uint8)
    x = np.ascontiguousarray(((images / 255.0 - mean) / deviation).transpose(0, 3, 1, 2)).astype(np.float32)
    expected = F.relu(torch.from_numpy(convolve(x, w, b, stride=(stride, stride), padding=(p, p, p, p)))).numpy()
    _, _, height, width = expected.shape
    for layout, fed in (("nchw", x), ("nhwc", images)):
        tensors = [
            {"channels": channels, "height": size[0], "width": size[1], "layout": layout, "dtype": str(fed.dtype)},
            {"channels": outputs, "height": height, "width": width, "offset": 0},
            {"channels": outputs, "height": height, "width": width, "layout": "nchw"},
        ]
        step = {
            "op": "convolution",
            "x": 0,
            "y": 1,
            "kernel": [kernel] * 2,
            "stride": [stride] * 2,
            "padding": [p] * 4,
            "activation": "relu",
        }
        packed = kernels.pack(step, tensors, {"weight": w, "bias": b, "mean": mean, "deviation": deviation})
        steps = [step | {"constant": 0}, {"op": "convert", "x": 1, "y": 2}]
        program = kernels.Program(
            {
                "arena": kernels.tensor_bytes(tensors[1]),
                "inputs": [0],
                "outputs": [2],
                "tensors": tensors,
                "steps": steps,
            },
            [packed],
        )
        close(program.run(fed, threads=2), expected)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("first", "second"), [((3, 2), (3, 1)), ((3, 1), (5, 2)), ((7, 4), (3, 2)), ((2, 3), (9, 1)), ((1, 1), (3, 1))]
)
@pytest.mark.parametrize("size", [(23, 30), (4, 5)])
def test_first_layer_and_the_depthwise_one_behind_it(dtype, first, second, size):
    channels, wide = 3, 40
    (k1, s1), (k2, s2) = first, second
    w1, b1 = random(wide, channels, k1, k1) * 0.2, random(wide)
    w2, b2 = random(wide, 1, k2, k2) * 0.2, random(wide)
    mean, deviation = np.array([0.48, 0.45, 0.40], np.float32), np.array([0.22, 0.25, 0.3], np.float32)
    images = np.random.default_rng(0).integers(0, 256, (2, *size, channels)).astype(np.uint8)
    x = np.ascontiguousarray(((images / 255.0 - mean) / deviation).transpose(0, 3, 1, 2)).astype(np.float32)
    middle = F.silu(torch.from_numpy(convolve(x, w1, b1, stride=(s1, s1), padding=(k1 // 2,) * 4)))
    w2_double, b2_double = torch.from_numpy(w2).double(), torch.from_numpy(b2).double()
    expected = F.relu6(F.conv2d(middle, w2_double, b2_double, s2, k2 // 2, groups=wide)).numpy()
    _, _, height, width = expected.shape
    for layout, fed in (("nchw", x), ("nhwc", images)):
        tensors = [
            {"channels": channels, "height": size[0], "width": size[1], "layout": layout},
            {"channels": wide, "height": height, "width": width, "offset": 0, "dtype": dtype},
            {"channels": wide, "height": 1, "width": 1, "offset": 1 << 20},
            {"channels": wide, "height": height, "width": width, "layout": "nchw"},
            {"channels": wide, "height": 1, "width": 1, "layout": "nchw"},
        ]
        step = {"op": "stem_depthwise", "x": 0, "y": 1, "pool": 2, "expand_activation": "silu", "activation": "relu6"}
        step |= {"expand_kernel": [k1, k1], "expand_stride": [s1, s1], "expand_padding": [k1 // 2] * 4}
        step |= {"kernel": [k2, k2], "stride": [s2, s2], "padding": [k2 // 2] * 4}
        arrays = {
            "expand_weight": w1,
            "expand_bias": b1,
            "weight": w2,
            "bias": b2,
            "mean": mean,
            "deviation": deviation,
        }
        packed = kernels.pack(step, tensors, arrays)
        steps = [step | {"constant": 0}, {"op": "convert", "x": 1, "y": 3}, {"op": "convert", "x": 2, "y": 4}]
        description = {"arena": (1 << 20) + 256, "inputs": [0], "outputs": [3, 4], "tensors": tensors, "steps": steps}
        program = kernels.Program(description, [packed])
        for threads in (1, 3):
            y, mean_of_y = program.run(fed, threads=threads)
            close(y.reshape(expected.shape), expected, dtype)
            close(mean_of_y, expected.mean((2, 3)), dtype)


def test_output_at_a_channel_of_a_wider_tensor():
    x = random(1, 20, 5, 5)
    parts = [random(32, 20, 1, 1), random(16, 20, 3, 3), random(7, 20, 1, 1)]
    tensors = [
        {"channels": 20, "height": 5, "width": 5, "layout": "nchw"},
        {"channels": 20, "height": 5, "width": 5, "offset": 0},
        {"channels": 55, "height": 5, "width": 5, "offset": 3200},
        {"channels": 55, "height": 5, "width": 5, "layout": "nchw"},
    ]
    steps, constants, at = [{"op": "convert", "x": 0, "y": 1}], [], 0
    for w in parts:
        p = w.shape[2] // 2
        step = {
            "op": "convolution",
            "x": 1,
            "y": 2,
            "kernel": list(w.shape[2:]),
            "padding": [p] * 4,
            "y_channel": at,
            "out_channels": len(w),
        }
        constants.append(kernels.pack(step, tensors, {"weight": w}))
        steps.append(step | {"constant": len(constants) - 1})
        at += len(w)
    steps.append({"op": "convert", "x": 2, "y": 3})
    program = kernels.Program(
        {"arena": 3200 + 6400, "inputs": [0], "outputs": [3], "tensors": tensors, "steps": steps}, constants
    )
    expected = np.concatenate(
        [convolve(x, w, np.zeros(len(w), np.float32), padding=(w.shape[2] // 2,) * 4) for w in parts], 1
    )
    close(program.run(x), expected)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_is_no_number_and_infinity_as_in_torch(run_step, activation):
    x = np.zeros((1, 18, 2, 4), np.float32)
    x[0, 17] = [[np.nan, np.inf, -np.inf, 0.0], [1e-40, -1e-40, 3e37, -3e37]]
    w = np.zeros((18, 1, 1, 1), np.float32) + 1.0
    expected = ACTIVATIONS[activation](torch.from_numpy(x)).numpy()
    expected[x == np.inf] = (
        1 if activation in ("sigmoid", "hard_sigmoid", "tanh") else 6 if activation == "relu6" else np.inf
    )  # some of torch's vector code says NaN
    for step, weight in [
        ({"op": "convolution", "groups": 18}, w),
        ({"op": "convolution", "variant": "direct"}, np.eye(18, dtype=np.float32)[:, :, None, None]),
        ({"op": "unary"}, None),
    ]:
        fields = step | {"activation": activation, "slope": 0.1}
        found = run_step(
            fields,
            x[:, 17:] if weight is not None and weight.shape[1] == 18 else x,
            (18, 2, 4) if weight is None or weight.shape[1] == 1 else (1, 2, 4),
            {} if weight is None else {"weight": weight if weight.shape[1] == 1 else np.ones((1, 1, 1, 1), np.float32)},
        )
        wanted = expected if found.shape[1] == 18 else expected[:, 17:]
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-37)
