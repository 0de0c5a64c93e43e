"""Batch norm whose mean and variance are those of the batch of all processes.

torch has it for CUDA (`torch.nn.SyncBatchNorm`) and nowhere else; its function is used there. On a processor the same
formulas are written out: each process's count, mean and sum of squared deviations are put together as by Chan et al.
(1979, "Updating formulae", equation 2.1), so that nothing cancels.

N: images, C: channels; statistics are over N and the map.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules._functions import SyncBatchNorm

from convlens.training.speed.recasting import recast

Norm = nn.modules.batchnorm._BatchNorm


@contextmanager
def synchronised(network: nn.Module, group: dist.ProcessGroup | None) -> Iterator[int]:
    """Let the batch norms of a network, while they train, share their statistics; yield how many there are."""
    norms = [module for module in network.modules() if isinstance(module, Norm)]

    def kind(own: type[nn.Module]) -> type[nn.Module]:
        def forward(self: Norm, x: Tensor) -> Tensor:
            return _normalised(self, x, group) if self.training else own.forward(self, x)

        return type(f"Synchronised{own.__name__}", (own,), {"forward": forward})

    with recast(norms, kind) as count:
        yield count


def _normalised(norm: Norm, x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    share = norm.momentum
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
        share = 1.0 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    averages = (norm.running_mean, norm.running_var)
    function = SyncBatchNorm if x.is_cuda else _Synchronised
    size = dist.get_world_size(group)
    weight, bias = norm.weight, norm.bias
    arguments = (x, weight, bias, *averages, norm.eps, share or 0.0, group or dist.group.WORLD, size)
    y: Tensor = function.apply(*arguments)  # type: ignore[no-untyped-call]
    return y


class _Synchronised(torch.autograd.Function):
    """What torch's function of the name does on GPUs, with the same arguments; halves are float32 inside."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        eps: float,
        momentum: float,
        group: Any,
        size: int,
    ) -> Tensor:
        axes = [axis for axis in range(x.dim()) if axis != 1]
        var_C, mean_C = torch.var_mean(_full(x), dim=axes, correction=0)
        count = float(x.numel() // x.shape[1])
        own = torch.cat([mean_C, var_C, mean_C.new_tensor([count])])
        found = own.new_empty(size, len(own))
        dist.all_gather(list(found), own, group=group)
        channels = x.shape[1]
        means, variances, counts = found[:, :channels], found[:, channels:-1], found[:, -1:]
        total = counts.sum()
        mean_C = (means * counts).sum(dim=0) / total
        var_C = ((variances + (means - mean_C) ** 2) * counts).sum(dim=0) / total
        if running_mean is not None and running_var is not None:
            running_mean.lerp_(mean_C.to(running_mean.dtype), momentum)
            running_var.lerp_((var_C * total / (total - 1).clamp_min(1)).to(running_var.dtype), momentum)
        scale_C = (var_C + eps).rsqrt()
        x_hat = (_full(x) - _column(mean_C, x)) * _column(scale_C, x)
        ctx.save_for_backward(x_hat.to(x.dtype), weight, scale_C, total)
        ctx.group, ctx.axes = group, axes
        y = x_hat
        if weight is not None and bias is not None:
            y = x_hat * _column(weight, x) + _column(bias, x)
        return y.to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x_hat, weight, scale_C, total = ctx.saved_tensors
        dy_full, x_hat = _full(dy), _full(x_hat)
        sums = torch.stack([dy_full.sum(dim=ctx.axes), (dy_full * x_hat).sum(dim=ctx.axes)])
        d_bias, d_weight = sums.clone()  # of this process: the gradients of all are averaged later
        dist.all_reduce(sums, group=ctx.group)
        mean_dy_C, mean_dy_x_C = sums / total
        factor_C = scale_C if weight is None else scale_C * weight
        dx = (dy_full - _column(mean_dy_C, dy) - x_hat * _column(mean_dy_x_C, dy)) * _column(factor_C, dy)
        learned = (None, None) if weight is None else (d_weight.to(weight.dtype), d_bias.to(weight.dtype))
        return dx.to(dy.dtype), *learned, None, None, None, None, None, None


def _full(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def _column(values_C: Tensor, like: Tensor) -> Tensor:
    return values_C.view(1, -1, *[1] * (like.dim() - 2))
