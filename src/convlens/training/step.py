"""One step: loss, gradient, update."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convlens.networks import WithAuxiliary
from convlens.training.config import TrainConfig

Chosen = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """How a step is done; the same for every step of a training.

    Args:
        label_smoothing: share of the target that is spread over all classes (Szegedy et al. 2015, section 7).
        clip_norm: largest norm of the gradient, 0 for no limit.
        precision: what convolutions and products are computed in; weights and the loss stay float32.
    """

    label_smoothing: float
    clip_norm: float
    precision: Chosen

    @classmethod
    def of(cls, config: TrainConfig) -> "Step":
        """The step that a configuration asks for, in float32."""
        return cls(label_smoothing=config.label_smoothing, clip_norm=config.clip_norm, precision="float32")

    def in_precision(self, precision: Chosen) -> "Step":
        """The same step in another precision."""
        return replace(self, precision=precision)

    def __call__(self, network: nn.Module, optimizer: torch.optim.Optimizer, x_NCHW: Tensor, y_N: Tensor) -> Tensor:
        """Do one step and return the loss, a scalar on the device that nobody has to wait for."""
        with torch.autocast(x_NCHW.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            output = network(x_NCHW)
        loss = self.loss(output, y_N)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.clip_norm:
            nn.utils.clip_grad_norm_(network.parameters(), self.clip_norm)
        optimizer.step()
        return loss.detach()

    def loss(self, output: Tensor | WithAuxiliary, y_N: Tensor) -> Tensor:
        """The loss of a network's output, with its auxiliary heads where it has some."""
        if not isinstance(output, WithAuxiliary):
            return F.cross_entropy(output.float(), y_N, label_smoothing=self.label_smoothing)
        auxiliary = [self.loss(scores, y_N) for scores in output.auxiliary]
        return self.loss(output.logits, y_N) + output.weight * torch.stack(auxiliary).sum()
