"""Three detours that torch's autograd takes, and the way around them.

- The gradient of an average over the whole map is spread over memory with channels first, whatever the map's layout;
  where it meets the map's other gradient, as in squeeze-and-excitation (Hu et al. 2018, section 3), their sum
  jumps through memory. It need not be spread at all: it is one number a channel. The norms before it then add in
  another order, so results agree up to rounding; the run's numerics say so.
- The gradient of a shortcut that takes every second pixel is written channels first, too, and with it the sum with the
  block's own gradient and the gradient of the ReLU before it. Here it lies as the map does. No bit changes.
- SiLU in place must keep its input for the gradient, so it copies it first; out of place it need not. No bit changes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from convlens.networks.resnet_cifar import CifarBlock
from convlens.training.speed.recasting import recast


class DirectAverage(nn.AdaptiveAvgPool2d):
    """An average over the whole map whose gradient is not written out; the same module in all else."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """The averages, (N, C, 1, 1)."""
        if x_NCHW.ndim != 4:
            return super().forward(x_NCHW)
        average: Tensor = _Average.apply(x_NCHW)  # type: ignore[no-untyped-call]
        return average


@contextmanager
def direct_averages(network: nn.Module) -> Iterator[int]:
    """Let averages over the map give their gradient directly, yield how many gain by it, and put them back.

    A network's only one is its last layer, where no other gradient is met: there is nothing to gain.
    """
    averages = [m for m in network.modules() if type(m) is nn.AdaptiveAvgPool2d and m.output_size in (1, (1, 1))]
    changed = averages if len(averages) > 1 else []
    with recast(changed, lambda _: DirectAverage) as count:
        yield count


class _DirectShortcut(CifarBlock):
    def shortcut(self, x: Tensor) -> Tensor:
        """Return x in the shape of F(x)."""
        if self.stride == 1 and not self.added:
            return x
        taken: Tensor = _Taken.apply(x, self.stride, self.added)  # type: ignore[no-untyped-call]
        return taken


@contextmanager
def direct_shortcuts(network: nn.Module) -> Iterator[int]:
    """Let shortcuts without parameters give their gradient in the map's layout, yield how many, and put them back."""
    with recast([m for m in network.modules() if type(m) is CifarBlock], lambda _: _DirectShortcut) as count:
        yield count


@contextmanager
def silus_out_of_place(network: nn.Module) -> Iterator[None]:
    """Let SiLU write beside its input, which the gradient needs, and put it back."""
    changed = [module for module in network.modules() if type(module) is nn.SiLU and module.inplace]
    for silu in changed:
        silu.inplace = False
    try:
        yield
    finally:
        for silu in changed:
            silu.inplace = True


class _Average(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_NCHW: Tensor) -> Tensor:
        ctx.shape = x_NCHW.shape
        return F.adaptive_avg_pool2d(x_NCHW, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_NC11: Tensor) -> Tensor:
        spread: Tensor = (gradient_NC11 / (ctx.shape[2] * ctx.shape[3])).expand(ctx.shape)
        return spread


class _Taken(torch.autograd.Function):
    """One pixel of `stride` in each direction, with `added` channels of zeros."""

    @staticmethod
    def forward(ctx: Any, x_NCHW: Tensor, stride: int, added: int) -> Tensor:
        ctx.shape, ctx.stride = x_NCHW.shape, stride
        last = x_NCHW.is_contiguous(memory_format=torch.channels_last)
        ctx.layout = torch.channels_last if last else torch.contiguous_format
        return F.pad(x_NCHW[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, added))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_NCHW: Tensor) -> tuple[Tensor, None, None]:
        spread = torch.empty(
            ctx.shape, dtype=gradient_NCHW.dtype, device=gradient_NCHW.device, memory_format=ctx.layout
        ).zero_()
        spread[:, :, :: ctx.stride, :: ctx.stride] = gradient_NCHW[:, : ctx.shape[1]]
        return spread, None, None
