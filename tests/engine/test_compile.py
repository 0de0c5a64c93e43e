"""Compiled networks against the same networks in PyTorch, float64."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import convlens
from convlens import networks
from convlens.engine import UnknownOperatorError
from convlens.engine.compiled import _on_this_processor
from convlens.errors import ConvlensError

pytest.importorskip("convlens_kernels")


def lively(network):
    """Statistics and biases as training leaves them, so that folding them wrongly shows."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3, generator=generator)
            module.running_var.uniform_(0.6, 1.4, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.uniform_(-0.3, 0.3, generator=generator)
    return network.eval()


def error(network, size, images=3, **options):
    """Relative L2 distance of the compiled network's answers from those in float64."""
    x = torch.randn(images, *size, generator=torch.Generator().manual_seed(1))
    fast = convlens.compile(network, size, tune=False, threads=1, **options)
    answer = fast(x).double()
    with torch.no_grad():
        expected = network.double()(x.double())
    network.float()
    assert answer.shape == expected.shape
    return float((answer - expected).norm() / expected.norm())


SMALL = {
    "mlp": (1, 28, 28),
    "lenet5_1998": (1, 32, 32),
    "lenet5": (1, 32, 32),
    "alexnet_2012": (3, 227, 227),
    "vgg11_bn": (3, 32, 32),
    "googlenet": (3, 64, 64),
    "googlenet_2014": (3, 96, 80),
    "resnet18": (3, 72, 56),
    "resnet50": (3, 64, 64),
    "resnet20": (3, 32, 32),
    "plain18": (3, 64, 64),
    "mobilenet_v2": (3, 64, 96),
    "efficientnet_b0": (3, 64, 64),
    "efficientnet_lite0": (3, 70, 64),
}


@pytest.mark.parametrize("name", SMALL)
def test_networks_of_the_catalogue(name):
    torch.manual_seed(0)
    size = SMALL[name]
    network = lively(networks.create(name, channels=size[0], size=size[1:], classes=10))
    assert error(network, size) < 1e-5
    assert error(network, size, precision="bfloat16") < 5e-2


class Inside(nn.Module):
    """A function as a network."""

    def __init__(self, function, *layers):
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, x):
        return self.function(x, *self.layers)


def conv(i, o, k=3, **options):
    return nn.Conv2d(i, o, k, **options)


FORMS = {
    "a shuffle of channels": (lambda x, a: F.relu(F.channel_shuffle(a(x), 4)), [conv(3, 24)]),
    "slices and an uneven concatenation": (
        lambda x, a, b: torch.cat([a(x)[:, 5:17], b(x), a(x)[:, ::2]], 1).relu(),
        [conv(3, 24), conv(3, 7)],
    ),
    "concatenations that grow": (
        lambda x, a, b, c: c(torch.cat([a(x), y := b(a(x)), torch.cat([a(x), y], 1)], 1)),
        [conv(3, 16), conv(16, 32, padding=1), conv(96, 5)],
    ),
    "a slice of one block": (lambda x, a, b: b(a(x)[:, 16:32]), [conv(3, 48), conv(16, 4)]),
    "halves that are joined crosswise": (
        lambda x, a: torch.cat(a(x).chunk(2, 1)[::-1], 1) + a(x),
        [conv(3, 32)],
    ),
    "a residual before and after the activation": (
        lambda x, a, b: F.relu(b(F.relu(a(x))) + a(x)) + F.silu(b(a(x))),
        [conv(3, 20), conv(20, 20, padding=1)],
    ),
    "a gate that two layers read": (
        lambda x, a, g: (y := a(x)) * (s := torch.sigmoid(g(y.mean((2, 3), keepdim=True)))) + s,
        [conv(3, 20), conv(20, 20, 1)],
    ),
    "a gate before a convolution": (
        lambda x, a, g, b: b((y := F.silu(a(x))) * F.hardsigmoid(g(y.mean((2, 3), keepdim=True)))),
        [conv(3, 20), conv(20, 20, 1), conv(20, 9, 1)],
    ),
    "a mean that is used beside its map": (
        lambda x, a: (y := a(x).relu()).mean((2, 3)) + y.amax((2, 3)),
        [conv(3, 18)],
    ),
    "channels last": (
        lambda x, a, n, m: m(n(a(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2) * 0.5 + a(x),
        [conv(3, 20), nn.LayerNorm(20), nn.Linear(20, 20)],
    ),
    "a depthwise convolution with dilation": (
        lambda x, a, d: F.gelu(d(a(x))),
        [conv(3, 24), conv(24, 24, groups=24, dilation=2)],
    ),
    "groups, strides on one axis, and a bias apart": (
        lambda x, a, b: b(a(x)) + torch.arange(12.0).view(1, 12, 1, 1).to(x.dtype),
        [conv(3, 8, (3, 1), stride=(2, 1)), conv(8, 12, (1, 5), groups=4, padding=(0, 2), bias=False)],
    ),
    "every second place, then fewer channels": (
        lambda x, a, b: b(F.pad(a(x)[:, :, ::2, ::2], (0, 0, 0, 0, 3, 4))),
        [conv(3, 9), conv(16, 6, 1)],
    ),
    "pools of every kind": (
        lambda x, a: (
            F.max_pool2d(y := a(x), 3, 2, 1, ceil_mode=True)
            + F.avg_pool2d(y, 3, 2, 1, ceil_mode=True, count_include_pad=False)
            + F.adaptive_avg_pool2d(y, (5, 4)).mean((2, 3), keepdim=True)
        ),
        [conv(3, 10)],
    ),
    "padding on one side, clipped": (
        lambda x, a: F.hardtanh(a(F.pad(x, (0, 1, 2, 0))), 0, 6),
        [conv(3, 10, stride=2)],
    ),
    "flattened": (
        lambda x, a, m: F.leaky_relu(m(a(x).flatten(1)), 0.2),
        [conv(3, 16), nn.Linear(16 * 9 * 7, 11)],
    ),
    "flattened, channels that fill no block": (
        lambda x, a, m: m(a(x).flatten(1)),
        [conv(3, 5), nn.Linear(5 * 9 * 7, 11)],
    ),
    "written in place": (
        lambda x, a: F.relu(a(x).add_(1), inplace=True).mul_(2),
        [conv(3, 16)],
    ),
    "up-sampled": (lambda x, a: F.interpolate(a(x), scale_factor=2) - 1, [conv(3, 16)]),
    "a map that becomes one place": (
        lambda x, a, b, m: m(torch.cat([b(y := F.max_pool2d(a(x).relu(), (9, 7))), y], 1).flatten(1) * 2),
        [conv(3, 32), conv(32, 32, padding=1), nn.Linear(64, 5)],
    ),
    "growing side by side": (
        lambda x, a, b, c, d: d(F.relu(z := torch.cat([y := torch.cat([a(x), b(a(x))], 1), c(y)], 1))) + z[:, :5],
        [conv(3, 16), conv(16, 16, padding=1), conv(32, 16, padding=1), conv(48, 5, 1)],
    ),
    "a norm before the convolution": (
        lambda x, n, a: a(F.relu(n(x))),
        [nn.BatchNorm2d(3), conv(3, 16)],
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_layers(form):
    torch.manual_seed(0)
    function, layers = FORMS[form]
    network = lively(Inside(function, *layers))
    assert error(network, (3, 11, 9)) < 1e-5
    assert error(network, (3, 11, 9), precision="bfloat16") < 5e-2


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda x: F.grid_sample(x, x.permute(0, 2, 3, 1)[..., :2], align_corners=True),
            r"cannot run aten\.grid_sampler.* use openvino",
        ),
        (lambda x: x.flip(2), r"cannot run aten\.flip"),
        (lambda x: x + torch.arange(9.0), r"cannot run aten\.add.* in this form"),
    ],
)
def test_what_it_does_not_know_is_named(function, message):
    with pytest.raises(UnknownOperatorError, match=message):
        convlens.compile(Inside(function), (3, 9, 9))


def test_pixels_of_a_decoder_are_normalised_in_the_first_layer():
    torch.manual_seed(0)
    network = lively(networks.create("resnet20"))
    mean, deviation = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
    fast = convlens.compile(network, (3, 32, 32), tune=False, pixels=(mean, deviation))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    x = (pixels / 255 - mean) / deviation
    with torch.no_grad():
        expected = network.double()(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
    assert np.abs(fast(pixels) - expected).max() < 1e-5 * np.abs(expected).max()


def test_arrays_give_arrays_tensors_give_tensors_and_another_shape_is_refused():
    fast = convlens.compile(networks.create("lenet5"), (1, 32, 32), tune=False)
    assert isinstance(fast(np.zeros((1, 1, 32, 32), np.float32)), np.ndarray)
    assert isinstance(fast(torch.zeros(1, 1, 32, 32)), torch.Tensor)
    assert "float32" in repr(fast)
    with pytest.raises(ConvlensError, match=r"shape \(N, 1, 32, 32\)"):
        fast(np.zeros((1, 1, 28, 28), np.float32))


def test_one_answer_whatever_the_batch():
    network = lively(networks.create("vgg11", size=(32, 32), classes=7))
    fast = convlens.compile(network, (3, 32, 32), tune=False, threads=2)
    x = np.random.default_rng(0).normal(size=(17, 3, 32, 32)).astype(np.float32)
    alone = np.concatenate([fast(x[i : i + 1]) for i in range(17)])
    np.testing.assert_allclose(fast(x), alone, rtol=1e-4, atol=1e-5)


def test_measured_kernels_are_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVLENS_CACHE", str(tmp_path))
    network = nn.Sequential(conv(3, 32), nn.ReLU(), conv(32, 16)).eval()
    first = convlens.compile(network, (3, 20, 20), threads=1)
    assert all(step.microseconds > 0 for step in first.plan.steps if step.op == "convolution")
    import convlens_kernels

    monkeypatch.setattr(convlens_kernels, "measure_step", None)
    again = convlens.compile(network, (3, 20, 20), threads=1)
    assert [step.tile for step in again.plan.steps] == [step.tile for step in first.plan.steps]


@pytest.mark.parametrize(("isa", "computed"), [("avx512bf16", "bfloat16"), ("avx2", "float32")])
def test_bfloat16_becomes_float32_where_the_processor_has_none(isa, computed, monkeypatch, caplog):
    monkeypatch.setattr("convlens_kernels.isa", lambda: isa)
    assert _on_this_processor("bfloat16") == computed
    said = (
        []
        if computed == "bfloat16"
        else [f"the engine computes in float32: this processor has no bfloat16 (it uses {isa})"]
    )
    assert [record.getMessage() for record in caplog.records] == said
    assert _on_this_processor("int8") == "int8"
