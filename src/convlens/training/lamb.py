"""LAMB, for large batches (You et al. 2020, algorithm 2)."""

from collections.abc import Callable, Iterable
from typing import Any

import torch


class Lamb(torch.optim.Optimizer):
    """Adam whose step is scaled, for each tensor, by the ratio of the norms of weight and step.

    Tensors without decay (norms, biases) take the plain Adam step, as in the authors' code.

    Args:
        params: parameters, or groups of them.
        lr: learning rate.
        betas: decay of the two moments.
        eps: keeps the division from zero.
        weight_decay: pull towards zero, added to the step.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 5e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        state, (first_decay, second_decay) = self.state[parameter], group["betas"]
        if not state:
            state["step"] = torch.zeros(())
            state["first"] = torch.zeros_like(parameter)
            state["second"] = torch.zeros_like(parameter)
        state["step"] += 1
        count = state["step"].item()
        first = state["first"].lerp_(gradient, 1 - first_decay)
        second = state["second"].mul_(second_decay).addcmul_(gradient, gradient, value=1 - second_decay)
        step = (first / (1 - first_decay**count)) / ((second / (1 - second_decay**count)).sqrt_() + group["eps"])
        if group["weight_decay"]:
            step.add_(parameter, alpha=group["weight_decay"])
            weight_norm, step_norm = parameter.norm(), step.norm()
            ratio = torch.where(
                (weight_norm > 0) & (step_norm > 0), weight_norm / step_norm, torch.ones_like(step_norm)
            )
            step.mul_(ratio)
        parameter.add_(step, alpha=-group["lr"])
