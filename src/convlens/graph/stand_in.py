"""Stand-ins for a module's tensors, and the module put back afterwards exactly as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily

from convlens.errors import ConvlensError

_CPU = torch.device("cpu")


class StandIns:
    """Makes one fake tensor for each real one and remembers which is which; no value is ever copied."""

    def __init__(self, mode: FakeTensorMode) -> None:
        self.mode = mode
        self._fakes: dict[int, FakeTensor] = {}
        self._reals: dict[int, torch.Tensor] = {}
        self._kept: list[torch.Tensor] = []  # so that no later tensor gets the identity of one remembered

    def of(self, real: torch.Tensor, *, requires_grad: bool = False) -> Any:
        """The stand-in of `real`: same shape, stride and dtype, on the CPU whatever the device of `real`."""
        known = self._fakes.get(id(real))
        if known is not None:
            return known
        with torch.no_grad():
            fake: Any = self._make(real)
        if requires_grad:
            fake = nn.Parameter(fake)
        self._fakes[id(real)] = fake
        self._reals[id(fake)] = real
        return fake

    def real(self, fake: torch.Tensor) -> torch.Tensor | None:
        """The tensor that `fake` stands for, None if it stands for nothing."""
        return self._reals.get(id(fake))

    def stands_for(self, fake: torch.Tensor, real: torch.Tensor) -> None:
        """Remember the value of a small tensor that the code made from Python numbers."""
        with unset_fake_temporarily():
            self._reals[id(fake)] = real.clone()
        self._kept.append(fake)

    def _make(self, real: torch.Tensor) -> FakeTensor:
        if real.layout is not torch.strided:
            return self.mode.from_tensor(real)
        extent = 1 + sum((size - 1) * step for size, step in zip(real.shape, real.stride(), strict=True))
        whole = torch.empty(max(extent, 0) if real.numel() else 0, dtype=real.dtype, device="meta")
        return FakeTensor(self.mode, whole.as_strided(real.shape, real.stride()), _CPU)


def refuse_lazy(module: nn.Module) -> None:
    """Raise for a module whose parameters have no shape before its first real forward pass."""
    for path, parameter in module.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise ConvlensError(
                f"parameter {path!r} has no shape yet (a lazy module); run the module once on an input, then inspect it"
            )


@contextmanager
def replaced(module: nn.Module, stand_ins: StandIns, *, training: bool, gradients: bool) -> Iterator[None]:
    """Put stand-ins in place of all parameters and buffers, set the mode; put everything back at the end.

    What the forward pass stores on its modules is undone too: attributes, and the contents of lists, dicts and sets.
    """
    modules = list(module.modules())
    saved = [(each, dict(each.__dict__), _contents(each)) for each in modules]
    for each in modules:
        _swap(each, stand_ins, gradients=gradients)
        each.training = training
    try:
        yield
    finally:
        for each, attributes, contents in saved:
            each.__dict__.clear()
            each.__dict__.update(attributes)
            for container, content in contents:
                _refill(container, content)


def _swap(module: nn.Module, stand_ins: StandIns, *, gradients: bool) -> None:
    for name, parameter in module._parameters.items():
        if parameter is not None:
            wanted = gradients and parameter.requires_grad
            module._parameters[name] = stand_ins.of(parameter, requires_grad=wanted)
    for name, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[name] = stand_ins.of(buffer)


def _contents(module: nn.Module) -> list[tuple[Any, Any]]:
    """The containers among the module's attributes, each with a copy of what it holds."""
    found = [value for value in module.__dict__.values() if isinstance(value, dict | list | set)]
    return [(container, container.copy()) for container in found]


def _refill(container: Any, content: Any) -> None:
    if container == content if not isinstance(container, dict) else _same_items(container, content):
        return
    container.clear()
    if isinstance(container, list):
        container.extend(content)
    else:
        container.update(content)


def _same_items(one: dict[Any, Any], other: dict[Any, Any]) -> bool:
    return one.keys() == other.keys() and all(one[key] is other[key] for key in one)
