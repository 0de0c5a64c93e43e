"""The measurement that receptive fields are checked against: float64 gradients of an all-positive version of a net."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class Positive(TorchFunctionMode):
    """Maxima become sums over the same window, so that every element of it has a gradient."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in (F.max_pool2d, torch.max_pool2d):
            return _sum_pool(*args, **{k: v for k, v in kwargs.items() if k != "return_indices"})
        if func in (F.adaptive_max_pool2d,):
            return F.adaptive_avg_pool2d(*args, **{k: v for k, v in kwargs.items() if k != "return_indices"})
        if func in (torch.amax, torch.Tensor.amax):
            return torch.mean(*args, **kwargs)
        return func(*args, **kwargs)


def _sum_pool(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    def pair(value):
        return (value, value) if isinstance(value, int) else tuple(value)

    with torch._C.DisableTorchFunction():
        shape = F.max_pool2d(x.detach(), kernel_size, stride, padding, dilation, ceil_mode).shape
        kernel, step = pair(kernel_size), pair(stride or kernel_size)
        ones = torch.full((x.shape[1], 1, *kernel), 1.0 / math.prod(kernel), dtype=x.dtype)
        x = F.pad(x, (pair(padding)[1], pair(padding)[1] + 20, pair(padding)[0], pair(padding)[0] + 20))
        y = F.conv2d(x, ones, stride=step, dilation=pair(dilation), groups=x.shape[1])
    return y[:, :, : shape[2], : shape[3]]


def positive(net):
    """A copy in float64 whose weights are positive averages, in evaluation mode."""
    net = copy.deepcopy(net).double().eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        fan = max(1, parameter[0].numel() if parameter.ndim > 1 else 1)
        values = torch.rand(parameter.shape, generator=generator, dtype=torch.float64) * 0.5 + 0.75
        parameter.data.copy_(values / fan if parameter.ndim > 1 else values)
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.zero_()
            module.running_var.fill_(1)
    return net


def _pick(output, at):
    for key in at:
        output = output[key]
    return output


def measure(net, shape, places=(2, 3), at=(), step=1):
    """For every `step`-th unit of the output map the rows and columns with a gradient, as {unit: (runs, runs)}."""
    net = positive(net)
    x = (torch.rand((1, *shape), dtype=torch.float64) * 0.5 + 0.25).requires_grad_()
    with Positive():
        y = _pick(net(x), at)
    others = [axis for axis in range(y.ndim) if axis not in places]
    weights = torch.rand([y.shape[axis] if axis in others else 1 for axis in range(y.ndim)], dtype=torch.float64)
    sums = (y * weights).sum(others)  # weighted: the sum of what was normalised would be constant
    found = {}
    for number in range(0, sums.numel(), step):
        unit = tuple(int(each) for each in np.unravel_index(number, tuple(sums.shape)))
        (grad,) = torch.autograd.grad(sums[unit], x, retain_graph=True)
        hit = (grad.abs() > 1e-300).any(0).any(0)
        found[unit] = tuple(runs(hit.any(other)) for other in (1, 0))
    return found


def runs(mask):
    """The intervals in which a mask is set: ((2, 4), (7, 7))."""
    edges = np.diff(np.concatenate([[False], mask.numpy(), [False]]).astype(int))
    return tuple(zip(np.flatnonzero(edges > 0).tolist(), (np.flatnonzero(edges < 0) - 1).tolist(), strict=True))


@pytest.fixture
def agrees():
    """Assert that the analytic region of every unit is the measured one, row by row."""
    from convlens.anatomy import inspect

    def check(net, shape, places=(2, 3), at=(), name="", step=1):
        sheet = inspect(net.eval(), shape)
        measured = measure(net, shape, places, at, step)
        analytic = {unit: sheet.receptive_field(name, unit).runs for unit in measured}
        wrong = {unit: (analytic[unit], measured[unit]) for unit in measured if analytic[unit] != measured[unit]}
        assert not wrong, f"{len(wrong)} of {len(measured)} units differ: {dict(list(wrong.items())[:3])}"
        return sheet

    return check
