"""Batch norm in a pipeline (Huang et al. 2018, section 2.2): statistics of the micro-batch, averages of the mini-batch.

C: channels.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convlens.training.speed.recasting import recast

Norm = nn.modules.batchnorm._BatchNorm


class MiniBatch:
    """What the norms of a network see in one mini-batch."""

    def __init__(self) -> None:
        self.seen: dict[Norm, list[tuple[Tensor, Tensor, int]]] = {}
        self.recomputing = False

    @contextmanager
    def computed_again(self) -> Iterator[None]:
        """Count nothing while activations are computed a second time."""
        self.recomputing = True
        try:
            yield
        finally:
            self.recomputing = False

    def add(self, norm: Norm, mean_C: Tensor, var_C: Tensor, count: int) -> None:
        """Take the mean and the unbiased variance of a micro-batch of so many values a channel."""
        if not self.recomputing and norm.track_running_stats:
            self.seen.setdefault(norm, []).append((mean_C, var_C, count))

    @torch.no_grad()
    def finish(self) -> None:
        """Move the running averages, once, by the statistics of all micro-batches together."""
        for norm, seen in self.seen.items():
            assert norm.running_mean is not None, "it tracks them"
            assert norm.running_var is not None, "it tracks them"
            counts = torch.tensor([count for _, _, count in seen], device=norm.running_mean.device)[:, None]
            means, variances = torch.stack([mean for mean, _, _ in seen]), torch.stack([var for _, var, _ in seen])
            total = counts.sum()
            mean_C = (means * counts).sum(dim=0) / total
            squares = variances * (counts - 1) + (means - mean_C) ** 2 * counts  # Chan et al. 1979
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked += 1
            share = 1.0 / float(norm.num_batches_tracked or 1) if norm.momentum is None else norm.momentum
            norm.running_mean.lerp_(mean_C, share)
            norm.running_var.lerp_(squares.sum(dim=0) / (total - 1).clamp_min(1), share)
        self.seen.clear()


@contextmanager
def micro_batch_norms(network: nn.Module) -> Iterator[MiniBatch]:
    """Let the batch norms of a network, while they train, keep what they saw until the mini-batch is over."""
    mini = MiniBatch()
    norms = [module for module in network.modules() if isinstance(module, Norm)]

    def kind(own: type[nn.Module]) -> type[nn.Module]:
        def forward(self: Norm, x: Tensor) -> Tensor:
            if not self.training:
                return own.forward(self, x)  # type: ignore[no-any-return]
            mean_C = torch.zeros(x.shape[1], device=x.device)
            var_C = torch.ones_like(mean_C)
            y: Tensor = F.batch_norm(x, mean_C, var_C, self.weight, self.bias, True, 1.0, self.eps)
            mini.add(self, mean_C, var_C, x.numel() // x.shape[1])
            return y

        return type(f"Micro{own.__name__}", (own,), {"forward": forward})

    with recast(norms, kind):
        yield mini
