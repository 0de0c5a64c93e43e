"""Activation checkpointing: activations inside a block are computed again in the backward pass (Chen et al. 2016)."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from convlens.training.speed.recasting import recast


@contextmanager
def recomputing(network: nn.Module) -> Iterator[int]:
    """Let the blocks of a network forget their activations, and yield how many there are; then put them back.

    Results are the same to the bit: statistics of norms are taken once, and dropout draws the same numbers again.
    """
    with recast(blocks_of(network), _recomputed) as count:
        yield count


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """The outermost modules with parameters and children that stand in a sequence, such as residual blocks."""
    blocks = [
        part
        for module in network.modules()
        if isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict)
        for part in module.children()
        if not isinstance(part, nn.Sequential) and len(list(part.children())) and any(True for _ in part.parameters())
    ]
    return [block for block in blocks if not any(block in list(other.modules())[1:] for other in blocks)]


def _recomputed(kind: type[nn.Module]) -> type[nn.Module]:
    """The same class with a forward pass that is checkpointed while it trains."""

    def forward(self: nn.Module, *arguments: Any) -> Any:
        if not self.training:
            return kind.forward(self, *arguments)
        return checkpoint(
            kind.forward, self, *arguments, use_reentrant=False, context_fn=lambda: (nullcontext(), _frozen_norms(self))
        )

    return type(f"Recomputed{kind.__name__}", (kind,), {"forward": forward})


def _frozen_norms(block: nn.Module) -> AbstractContextManager[None]:
    """While activations are computed again, the running statistics stay as they are."""

    @contextmanager
    def frozen() -> Iterator[None]:
        norms = [m for m in block.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
        for norm in norms:
            norm.momentum = 0.0
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked = norm.num_batches_tracked.clone()
        try:
            yield
        finally:
            for norm, (momentum, tracked) in zip(norms, before, strict=True):
                norm.momentum, norm.num_batches_tracked = momentum, tracked

    return frozen()
