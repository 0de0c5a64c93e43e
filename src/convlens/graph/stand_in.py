"""Stand-ins for a module's tensors."""

import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils.weak import WeakTensorKeyDictionary

from convlens.errors import ConvlensError
from convlens.graph.nests import changed

_CPU = torch.device("cpu")


class StandIns:
    """Makes one fake tensor for each real one and remembers which is which; no value is ever copied."""

    def __init__(self) -> None:
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)
        self._fakes: dict[int, Any] = {}
        self._reals: dict[int, torch.Tensor] = {}
        self._kept: list[torch.Tensor] = []  # so that no later tensor gets the identity of one remembered
        self._seen: list[weakref.ref[torch.Tensor]] = []

    @property
    def mode(self) -> AbstractContextManager[Any]:
        """What the forward pass runs in."""
        return self._mode

    def input(self, size: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """An input of that size."""
        with self._mode:
            return torch.empty(size, dtype=dtype, device="cpu")

    def of(self, real: torch.Tensor, *, requires_grad: bool = False) -> Any:
        """The stand-in of `real`: same shape, stride and dtype, on the CPU whatever the device of `real`."""
        known = self._fakes.get(id(real))
        if known is not None:
            return known
        with torch.no_grad():
            fake: Any = self._make(real)
        if requires_grad:
            fake = nn.Parameter(fake)
        for name, value in vars(real).items():  # what the code has noted on its parameters
            vars(fake).setdefault(name, value)
        if isinstance(real, nn.Parameter):
            fake._is_param = True
        self._fakes[id(real)] = fake
        self._reals[id(fake)] = real
        return fake

    def instead(self, nest: Any) -> Any:
        """A nest with stand-ins in place of the real tensors that the module's code brings along."""
        return changed(nest, torch.Tensor, self._instead)

    def _instead(self, tensor: torch.Tensor) -> torch.Tensor:
        while torch._C._functorch.is_functorch_wrapped_tensor(tensor):  # by torch.func: vmap, grad
            tensor = torch._C._functorch.get_unwrapped(tensor)
        return tensor if self._is_made(tensor) else self.of(tensor)

    def _is_made(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor belongs to the recording."""
        return isinstance(tensor, FakeTensor)

    def real(self, fake: torch.Tensor) -> torch.Tensor | None:
        """The tensor that `fake` stands for, None if it stands for nothing."""
        return self._reals.get(id(fake))

    def stands_for(self, fake: torch.Tensor, real: torch.Tensor) -> None:
        """Remember the value of a small tensor that the code made from Python numbers."""
        with unset_fake_temporarily():
            self._reals[id(fake)] = real.clone()
        self._kept.append(fake)

    def saw(self, fake: torch.Tensor) -> None:
        """Note a fake tensor that the recording made, to know later whether it is gone."""
        self._seen.append(weakref.ref(fake))

    def forget(self) -> None:
        """Let go of all tensors."""
        self._fakes.clear()
        self._reals.clear()
        self._kept.clear()

    def alive(self) -> list[torch.Tensor]:
        """The fake tensors that still exist, whoever holds them."""
        return [fake for each in self._seen if (fake := each()) is not None]

    def _make(self, real: torch.Tensor) -> torch.Tensor:
        if real.layout is not torch.strided:
            return self._mode.from_tensor(real)
        extent = 1 + sum((size - 1) * step for size, step in zip(real.shape, real.stride(), strict=True))
        whole = torch.empty(max(extent, 0) if real.numel() else 0, dtype=real.dtype, device="meta")
        return FakeTensor(self._mode, whole.as_strided(real.shape, real.stride()), _CPU)


class Copies(StandIns):
    """Copies with numbers in place of fake tensors: for a forward pass whose course depends on what it computes."""

    def __init__(self) -> None:
        super().__init__()
        self._made: Any = WeakTensorKeyDictionary()

    @property
    def mode(self) -> AbstractContextManager[Any]:
        """Numbers are drawn, and chance is put back afterwards."""
        return _chance()

    def input(self, size: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """The same numbers between 0 and 1 every time; whole ones are 0, an index that every table has."""
        if not dtype.is_floating_point:
            return torch.zeros(size, dtype=dtype)
        return torch.rand(size, generator=torch.Generator().manual_seed(0)).to(dtype)

    def real(self, fake: torch.Tensor) -> torch.Tensor | None:
        """The tensor that `fake` is a copy of, or else a copy of it."""
        known = super().real(fake)
        return fake.detach().clone() if known is None else known

    def saw(self, fake: torch.Tensor) -> None:
        """Note a tensor that belongs to the recording."""
        self._made[fake] = True

    def _is_made(self, tensor: torch.Tensor) -> bool:
        return tensor in self._made

    def _make(self, real: torch.Tensor) -> torch.Tensor:
        if real.device.type == "meta":
            return self.input(tuple(real.shape), real.dtype)
        copy = real.detach().to("cpu", copy=True)
        self._made[copy] = True
        return copy


@contextmanager
def _chance() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def refuse_lazy(module: nn.Module) -> None:
    """Raise for a module whose parameters have no shape before its first real forward pass."""
    for path, parameter in module.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise ConvlensError(
                f"parameter {path!r} has no shape yet (a lazy module); run the module once on an input, then inspect it"
            )
