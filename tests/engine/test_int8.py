"""int8 from a module to answers: close to float32, with its products in whole numbers, in a file too."""

import numpy as np
import pytest
import torch
from torch import nn

import convlens
from convlens.errors import ConvlensError

kernels = pytest.importorskip("convlens_kernels")


class Net(nn.Module):
    """A first layer, a maximum, a residual block, a widening block with its gate, and a classifier."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 24, 3, 2, 1), nn.BatchNorm2d(24), nn.ReLU())
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.one = nn.Sequential(nn.Conv2d(24, 40, 1), nn.ReLU(), nn.Conv2d(40, 24, 3, 1, 1))
        self.wide = nn.Sequential(nn.Conv2d(24, 72, 1), nn.SiLU(), nn.Conv2d(72, 72, 5, 1, 2, groups=72), nn.SiLU())
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(72, 8, 1), nn.SiLU(), nn.Conv2d(8, 72, 1))
        self.narrow = nn.Conv2d(72, 24, 1)
        self.groups = nn.Conv2d(24, 32, 3, 2, 1, groups=2)
        self.last = nn.Linear(56, 10)

    def forward(self, x):
        x = self.pool(self.first(x))
        x = torch.relu(x + self.one(x))
        y = self.wide(x)
        x = x + self.narrow(y * torch.sigmoid(self.gate(y)))
        both = [self.groups(x).mean((2, 3)), torch.relu(x).mean((2, 3))]
        return self.last(torch.cat(both, 1))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return Net().eval()


def images(count, seed, shape=(3, 44, 37)):
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)


def distance(found, expected):
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("threads", [1, 2])
def test_answers_are_close_to_those_in_float32(net, threads):
    x = images(5, 1)
    calibration = images(12, 2)
    compiled = convlens.compile(
        net, (3, 44, 37), precision="int8", calibration=calibration, threads=threads, tune=False
    )
    with torch.inference_mode():
        expected = net(torch.from_numpy(x)).numpy()
    assert 1e-5 < distance(compiled(x), expected) < 0.03
    np.testing.assert_allclose(compiled(x[:1]), compiled(x)[:1], atol=1e-5)


def test_dense_products_are_whole_and_the_rest_is_not(net):
    plan = convlens.compile(net, (3, 44, 37), precision="int8", calibration=images(2, 2), tune=False).plan
    tensors = plan.description["tensors"]
    steps = [step for step in plan.description["steps"] if step["op"] in ("convolution", "expand_depthwise")]
    whole = [s for s in steps if s.get("compute") == "int8" or tensors[s["x"]]["dtype"] == "uint8"]
    # all but the first layer and, where it is a step of its own, the depthwise one
    assert len(whole) in (len(steps) - 1, len(steps) - 2)
    maxima = [step for step in plan.description["steps"] if step["op"] == "pool"]
    assert all(tensors[s["x"]].get("scale") == tensors[s["y"]].get("scale") for s in maxima)


def test_tuned_plans_answer_the_same(net, tmp_path, monkeypatch):
    monkeypatch.setenv("CONVLENS_CACHE", str(tmp_path))
    calibration, x = images(3, 2), images(2, 3)
    answers = [
        convlens.compile(net, (3, 44, 37), precision="int8", calibration=calibration, threads=1, tune=tune)(x)
        for tune in (True, False)
    ]
    assert distance(*answers) < 0.02  # a widening and its depthwise convolution are one step or two


def test_a_file_answers_the_same(net, tmp_path):
    compiled = convlens.compile(net, (3, 44, 37), precision="int8", calibration=images(2, 2), tune=False)
    kernels.write_plan(tmp_path / "a.plan", compiled.plan.description, compiled.plan.constants, {})
    x = images(2, 3)
    np.testing.assert_array_equal(kernels.read_plan(tmp_path / "a.plan").program()(x), compiled(x))


def test_more_range_is_cut_where_it_costs_least():
    from convlens.engine.calibration import Observed

    chance = np.random.default_rng(0)
    sample = np.abs(chance.normal(size=1_000_000)).astype(np.float32)
    sample[0] = 12.0  # one number far out
    scale = Observed(sample=sample, mean=np.zeros(1, np.float32)).scale()
    assert scale.zero_point == 0
    assert 4 < scale.step * 255 < 11
    signed = Observed(sample=chance.normal(size=20_000).astype(np.float32), mean=np.zeros(1, np.float32)).scale()
    assert 90 < signed.zero_point < 165


@pytest.mark.parametrize("images_are", [0.0, 1e-30, 1e30])
def test_odd_calibration_images_do_no_harm(images_are):
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 1)).eval()
    calibration = np.full((1, 3, 6, 6), images_are, np.float32)
    compiled = convlens.compile(net, (3, 6, 6), precision="int8", calibration=calibration, tune=False)
    assert np.isfinite(compiled(images(1, 0, (3, 6, 6)))).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "int8"}, "int8 needs images"),
        ({"precision": "float32", "calibration": np.zeros((1, 3, 44, 37))}, "calibration is for int8"),
        ({"precision": "int8", "calibration": np.zeros((1, 3, 44, 38))}, r"use \(N, 3, 44, 37\)"),
        ({"precision": "int8", "calibration": np.zeros((0, 3, 44, 37))}, "N at least 1"),
        ({"precision": "int8", "calibration": np.full((1, 3, 44, 37), np.nan)}, "infinite or none"),
        ({"precision": "int4"}, "int8"),
    ],
)
def test_what_int8_needs_is_said(net, settings, message):
    with pytest.raises(ConvlensError, match=message):
        convlens.compile(net, (3, 44, 37), tune=False, **settings)
