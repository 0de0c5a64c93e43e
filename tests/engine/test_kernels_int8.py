"""Products of whole numbers: exactly what integer arithmetic gives, on every instruction set."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

kernels = pytest.importorskip("convlens_kernels")


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def whole(x, scale, zero_point):
    """What uint8 makes of x."""
    return np.clip(np.rint(x / scale + zero_point), 0, 255)


def rounded(x, scale, zero_point):
    """x as uint8 keeps it."""
    return ((whole(x, scale, zero_point) - zero_point) * scale).astype(np.float32)


def weight_scales(w):
    return (np.abs(w).reshape(len(w), -1).max(axis=1) / 127 + 1e-12).astype(np.float32)


def rounded_weights(w):
    scale = weight_scales(w).reshape(-1, 1, 1, 1)
    return (np.clip(np.rint(w / scale), -127, 127) * scale).astype(np.float32)


def convolve(x, w, b, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    top, bottom, left, right = padding
    padded = F.pad(torch.from_numpy(x).double(), (left, right, top, bottom))
    w, b = (torch.from_numpy(each).double() for each in (w, b))
    return F.conv2d(padded, w, b, stride, 0, dilation, groups).numpy()


X = {"dtype": "uint8", "scale": 0.031, "zero_point": 117}


def check(run_step, x, w, *, fields=None, threads=1, types=None, **window):
    """x in uint8, or brought there by the step, against the same in float64."""
    b = random(len(w), seed=9)
    scale, zero_point = X["scale"], X["zero_point"]
    expected = convolve(rounded(x, scale, zero_point), rounded_weights(w), b, **window)
    step = {"op": "convolution", "compute": "int8", "kernel": list(w.shape[2:]), "groups": window.get("groups", 1)}
    step |= {k: list(v) for k, v in window.items() if k != "groups"} | (fields or {})
    arrays = {"weight": w, "bias": b, "weight_scale": weight_scales(w)}
    for x_type in (X, "float32", "bfloat16"):
        own = {} if x_type is X else {"scale": scale, "zero_point": zero_point}
        given = rounded(x, scale, zero_point) if x_type == "bfloat16" else x
        if x_type == "bfloat16":  # itself rounded before it is brought to uint8
            kept = torch.from_numpy(given).bfloat16().float().numpy()
            expected = convolve(rounded(kept, scale, zero_point), rounded_weights(w), b, **window)
        every = {"x": x_type, "y": "float32"} | (types or {})
        found = run_step(step | own, given, expected.shape[1:], arrays, types=every, threads=threads)
        assert np.abs(found - expected).max() <= 2e-6 * (np.abs(expected).max() + 1)


@pytest.mark.parametrize("vectors", [1, 2, 3, 4])
def test_every_remainder_of_every_tile(run_step, vectors):
    tensors = [{"channels": c, "height": 1, "width": 1} | t for c, t in ((24, X), (16 * vectors, {}))]
    step = {"op": "convolution", "compute": "int8", "x": 0, "y": 1}
    tiles = [v["tile"] for v in kernels.variants(step, tensors) if v["tile"][1] == vectors]
    if not tiles:
        pytest.skip(f"{kernels.isa()} has no tile of {vectors} vectors")
    rows = tiles[0][0]
    for pixels in [*range(1, rows + 2), 2 * rows + 1, 61]:
        w = random(16 * vectors - 3, 23, 1, 1, seed=pixels)
        check(run_step, random(1, 23, 1, pixels), w, fields={"tile": tiles[0]})


@pytest.mark.parametrize("channels", [(1, 1), (3, 17), (16, 16), (18, 40), (35, 5)])
@pytest.mark.parametrize("size", [(1, 1), (13, 9)])
def test_kernels_strides_paddings_dilations(run_step, channels, size):
    inputs, outputs = channels
    x = random(2, inputs, *size)
    for kernel, window in [
        ((1, 1), {}),
        ((1, 1), {"stride": (2, 2)}),
        ((3, 3), {"padding": (1, 1, 1, 1)}),
        ((3, 3), {"padding": (1, 1, 1, 1), "stride": (2, 2)}),
        ((5, 3), {"padding": (2, 2, 1, 1), "stride": (1, 3)}),
        ((3, 2), {"padding": (4, 4, 3, 3), "dilation": (3, 2), "stride": (3, 2)}),
        ((7, 1), {"padding": (3, 3, 0, 0)}),
    ]:
        check(run_step, x, random(outputs, inputs, *kernel), **window)
    check(run_step, random(1, inputs, 9, 11), random(outputs, inputs, 3, 3))


@pytest.mark.parametrize(("groups", "inputs", "outputs"), [(2, 32, 64), (2, 6, 10), (8, 32, 32), (24, 48, 24)])
def test_groups(run_step, groups, inputs, outputs):
    w = random(outputs, inputs // groups, 3, 3)
    check(run_step, random(2, inputs, 8, 7), w, groups=groups, padding=(1, 1, 1, 1), stride=(2, 2))


@pytest.mark.parametrize("threads", [2, 3])
def test_threads(run_step, threads):
    check(run_step, random(1, 40, 23, 19), random(70, 40, 3, 3), padding=(1, 1, 1, 1), threads=threads)
    check(run_step, random(1, 40, 23, 19), random(70, 40, 1, 1), threads=threads)


def test_sums_do_not_saturate(run_step):
    x = np.full((1, 64, 3, 3), 10.0, np.float32)  # 255 as uint8
    w = np.ones((16, 64, 3, 3), np.float32)
    w[1] = -1
    check(run_step, x, w)


@pytest.mark.parametrize("stored", ["float32", "bfloat16", "uint8"])
@pytest.mark.parametrize("added", ["float32", "bfloat16", "uint8"])
@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_residual_gate_pool_and_activation(run_step, stored, added, activation):
    x, w, b, gate = random(2, 20, 9, 7), random(36, 20, 1, 1, seed=1) * 0.2, random(36), random(2, 20, 1, 1, seed=2)
    residual_type = {"dtype": "uint8", "scale": 0.02, "zero_point": 128} if added == "uint8" else added
    y_type = {"dtype": "uint8", "scale": 0.05, "zero_point": 30} if stored == "uint8" else stored
    residual = rounded(random(2, 36, 9, 7, seed=3), 1 / 64, 128) if added == "bfloat16" else random(2, 36, 9, 7, seed=3)
    kept = {"float32": residual, "bfloat16": residual, "uint8": rounded(residual, 0.02, 128)}[added]
    y = convolve(rounded(x * gate, 0.031, 117), rounded_weights(w), b)
    act = {"relu": F.relu, "silu": F.silu}[activation]
    for after in (False, True):
        real = act(torch.from_numpy(y + (0 if after else kept))).numpy() + (kept if after else 0)
        expected = rounded(real, 0.05, 30) if stored == "uint8" else real
        step = {"op": "convolution", "compute": "int8", "activation": activation, "scale": 0.031, "zero_point": 117}
        arrays = {"weight": w, "bias": b, "weight_scale": weight_scales(w)}
        types = {"x": "float32", "y": y_type, "residual": residual_type}
        found, mean = run_step(
            step | {"residual_after": after}, x, expected.shape[1:], arrays, types=types, residual=residual, gate=gate,
            pooled=True,
        )  # fmt: skip
        # the coarse exponential, and what lies close to the middle between two whole numbers
        bound = {"float32": 2e-3, "bfloat16": 4e-2, "uint8": 0.0501}[stored]
        assert np.abs(found - expected).max() < bound
        assert np.abs(found - expected).mean() < bound / 10
        assert np.abs(mean.reshape(2, 36) - real.mean(axis=(2, 3))).max() < 2e-3


@pytest.mark.parametrize("stored", ["float32", "uint8"])
@pytest.mark.parametrize("activation", ["relu6", "silu"])
@pytest.mark.parametrize("channels", [(20, 40), (16, 64), (7, 17)])
def test_expansion_and_depthwise(run_step, stored, activation, channels):
    inputs, middle = channels
    x, wide, deep = random(2, inputs, 9, 11), random(middle, inputs, 1, 1, seed=1), random(middle, 1, 3, 3, seed=2)
    wide *= 0.3
    bias, deep_bias = random(middle, seed=3), random(middle, seed=4)
    act = {"relu6": F.relu6, "silu": F.silu}[activation]
    y = act(torch.from_numpy(convolve(rounded(x, 0.031, 117), rounded_weights(wide), bias))).numpy()
    y = act(torch.from_numpy(convolve(y, deep, deep_bias, padding=(1, 1, 1, 1), groups=middle))).numpy()
    y_type = {"dtype": "uint8", "scale": 0.04, "zero_point": 10} if stored == "uint8" else stored
    expected = rounded(y, 0.04, 10) if stored == "uint8" else y
    step = {"op": "expand_depthwise", "kernel": [3, 3], "padding": [1, 1, 1, 1]}
    step |= {"activation": activation, "expand_activation": activation}
    arrays = {"expand_weight": wide, "expand_bias": bias, "weight": deep, "bias": deep_bias}
    arrays["expand_weight_scale"] = weight_scales(wide)
    found = run_step(step, x, expected.shape[1:], arrays, types={"x": X, "y": y_type})
    bound = 0.0401 if stored == "uint8" else 2e-3
    assert np.abs(found - expected).max() < bound
    assert np.abs(found - expected).mean() < bound / 10


def test_a_depthwise_convolution_stores_whole_numbers(run_step):
    x, w, b = random(1, 19, 8, 9), random(19, 1, 5, 5, seed=1) * 0.2, random(19)
    expected = rounded(convolve(x, w, b, padding=(2, 2, 2, 2), groups=19), 0.04, 100)
    step = {"op": "convolution", "kernel": [5, 5], "padding": [2, 2, 2, 2], "groups": 19}
    types = {"y": {"dtype": "uint8", "scale": 0.04, "zero_point": 100}}
    found = run_step(step, x, expected.shape[1:], {"weight": w, "bias": b}, types=types)
    assert np.abs(found - expected).max() < 0.0401
    assert (np.abs(found - expected) > 1e-5).mean() < 0.01


def test_maximum_of_whole_numbers(run_step):
    x = random(2, 19, 11, 8)
    rounded_x = torch.from_numpy(rounded(x, X["scale"], X["zero_point"]))
    expected = F.max_pool2d(rounded_x, 3, 2, 1).numpy()
    step = {"op": "pool", "kind": "max", "kernel": [3, 3], "stride": [2, 2], "padding": [1, 1, 1, 1]}
    found = run_step(step, x, expected.shape[1:], types={"x": X, "y": X})
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("step", "types", "message"),
    [
        ({"op": "unary", "activation": "relu"}, {"x": X, "y": X}, "x cannot be uint8"),
        ({"op": "pool", "kind": "average"}, {"x": X, "y": X}, "x cannot be uint8"),
        ({"op": "pool", "kind": "max"}, {"x": X, "y": X | {"scale": 1.0}}, "same scale"),
        ({"op": "convolution"}, {"x": X}, "compute must be"),
        ({"op": "convolution", "compute": "int4"}, {}, "compute must be"),
        ({"op": "convolution", "compute": "int8"}, {}, "needs the scale"),
        ({"op": "convolution", "compute": "int8", "variant": "winograd", "scale": 1.0}, {}, "variant"),
        ({"op": "convolution"}, {"y": X}, "same dtype"),
        ({"op": "convert"}, {"x": X, "y": X | {"zero_point": 3}}, "same scale"),
        ({"op": "convert"}, {"y": X | {"scale": 0.0}}, "scale"),
        ({"op": "convert"}, {"y": X | {"scale": float("nan")}}, "scale"),
        ({"op": "convert"}, {"y": X | {"zero_point": 256}}, "zero_point must be 0 to 255"),
        ({"op": "linear"}, {"x": X}, "x cannot be uint8"),
    ],
)
def test_what_takes_no_whole_numbers_says_so(run_step, step, types, message):
    w = random(16, 16, 1, 1)
    arrays = {"weight": w, "weight_scale": weight_scales(w)}
    with pytest.raises(ValueError, match=message):
        run_step(step, random(1, 16, 4, 4), (16, 4, 4), arrays, types=types)


def test_every_instruction_set_gives_the_same_sums():
    x, w = random(1, 40, 6, 5), random(33, 40, 3, 3)
    tensors = [
        {"channels": 40, "height": 6, "width": 5, "layout": "nchw"},
        {"channels": 40, "height": 6, "width": 5, "offset": 0} | X,
        {"channels": 33, "height": 4, "width": 3, "offset": 4096},
        {"channels": 33, "height": 4, "width": 3, "layout": "nchw"},
    ]
    step = {"op": "convolution", "compute": "int8", "x": 1, "y": 2, "kernel": [3, 3]}
    found = []
    for isa in kernels.isas():
        packed = kernels.pack(step, tensors, {"weight": w, "weight_scale": weight_scales(w)}, isa)
        steps = [
            {"op": "convert", "x": 0, "y": 1},
            step | {"constant": 0},
            {"op": "convert", "x": 2, "y": 3},
        ]
        native = kernels._native.Program(tensors, steps, [packed], [0], [3], 1 << 14, 0, isa)
        y = np.empty((1, 33, 4, 3), np.float32)
        native.run([x.reshape(-1).view(np.uint8)], [y.reshape(-1).view(np.uint8)], 1, 1)
        found.append(y)
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-6, atol=1e-5)
