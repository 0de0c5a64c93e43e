"""What a network with auxiliary heads returns while it is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class WithAuxiliary(NamedTuple):
    """Scores of the network and of its auxiliary heads, in training mode only.

    The loss is `loss(logits) + weight * sum(loss(a) for a in auxiliary)` (GoogLeNet, 2014, section 5).

    Attributes:
        logits: (N, classes) scores of the network itself.
        auxiliary: (N, classes) scores, one tensor a head.
        weight: how much each head's loss counts.
    """

    logits: Tensor
    auxiliary: tuple[Tensor, ...]
    weight: float
