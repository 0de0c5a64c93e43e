"""How many bytes a training step holds at once: the step is run on fake tensors, and a ledger of storages is kept."""

from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from convlens.anatomy.workspace import backward_workspace, forward_workspace
from convlens.errors import ConvlensError, unknown_name
from convlens.graph.operators import named
from convlens.graph.record import fake_arguments
from convlens.graph.stand_in import StandIns, replaced

# Copies of the parameters that an optimiser keeps between steps.
COPIES = {"sgd": 1, "sgd without momentum": 0, "adamw": 2, "adam": 2, "rmsprop": 1}
_YOUNG = 64


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of one training step beside parameters, buffers and input.

    Attributes:
        saved: what the forward pass keeps for the backward pass.
        gradients: gradients of the trained parameters.
        optimizer: what the optimiser keeps between steps.
        peak: the most that forward and backward pass hold at any moment, saved tensors and gradients among it.
    """

    saved: int
    gradients: int
    optimizer: int
    peak: int

    @property
    def total(self) -> int:
        """The peak of the whole step: from the second one on, the optimiser's state is there all the time."""
        return self.optimizer + max(self.peak, self.gradients)


class _Ledger(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that are alive, operation by operation."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._backward = False
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self._bytes = 0
        self._before: dict[int, StorageWeakRef] = {}

    def ignore(self, tensors: Any) -> None:
        """Leave out what was there before the step."""
        for tensor in tensors:
            weak = StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
            self._before[weak.cdata] = weak

    def alive(self) -> int:
        """Bytes alive now."""
        self._bury(list(self._alive))
        return self._bytes

    def turn(self) -> int:
        """Bytes alive at the end of the forward pass; from here on even old storages may die."""
        self._backward = True
        return self.alive()

    def _bury(self, keys: list[int]) -> None:
        for key in keys:
            weak, nbytes = self._alive[key]
            if weak.expired():  # type: ignore[no-untyped-call]
                del self._alive[key]
                self._bytes -= nbytes

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, list | tuple) else [result]:
            if isinstance(tensor, torch.Tensor) and tensor.layout is torch.strided:
                storage = tensor.untyped_storage()
                weak = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
                if weak.cdata not in self._before and weak.cdata not in self._alive:
                    self._alive[weak.cdata] = (weak, storage.nbytes())
                    self._bytes += storage.nbytes()
        self._watch(_needed(func, args, result))
        return result

    def _watch(self, needed: int) -> None:
        """Look for a new peak: at the young storages, most of which die soon, and at all only if these leave one."""
        if self._bytes + needed > self.peak:
            self._bury(list(islice(reversed(self._alive), _YOUNG)))
        if self._bytes + needed > self.peak and self._backward:
            self._bury(list(self._alive))
        self.peak = max(self.peak, self._bytes + needed)


def _needed(func: Any, args: Any, result: Any) -> int:
    backward = func is torch.ops.aten.convolution_backward.default
    if not backward and func is not torch.ops.aten.convolution.default:
        return 0
    given = named(func, args, {})
    if given["transposed"]:
        return 0
    y = given["grad_output"] if backward else result
    return (backward_workspace if backward else forward_workspace)(
        tuple(given["input"].shape),
        tuple(given["weight"].shape),
        tuple(y.shape),
        stride=tuple(given["stride"]),
        padding=tuple(given["padding"]),
        groups=given["groups"],
        itemsize=y.dtype.itemsize,
    )


def training_memory(module: nn.Module, *inputs: Any, optimizer: str = "sgd") -> TrainingMemory:
    """Work out what one training step of `module` holds at its peak, without computing or allocating it.

    The sum of all floating-point outputs stands for the loss, whose own tensors are small beside the network's.

    Args:
        module: any module; left as it was.
        inputs: as for `convlens.inspect`; give the batch, such as `(64, 3, 224, 224)`.
        optimizer: "sgd" (with momentum), "sgd without momentum", "adam", "adamw" or "rmsprop".

    Raises:
        ConvlensError: an unknown optimiser, no parameter that is trained, or a forward pass that fails in training.

    >>> memory = training_memory(nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU()), (16, 3, 32, 32))
    >>> memory.gradients, memory.optimizer
    (128, 128)
    """
    if optimizer not in COPIES:
        raise unknown_name("optimizer", optimizer, COPIES)
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not trained:
        raise ConvlensError(f"{type(module).__name__} has no parameter that requires a gradient, so it is not trained")
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    stand_ins = StandIns(mode)
    ledger = _Ledger()
    arguments, named = fake_arguments(module, inputs, {}, mode, stand_ins)
    with replaced(module, stand_ins, training=True, gradients=True):
        ledger.ignore([*module.parameters(), *module.buffers(), *_tensors((arguments, named))])
        saved = _step(module, arguments, named, mode, ledger)
    gradients = sum(parameter.nbytes for parameter in trained)
    return TrainingMemory(saved, gradients, COPIES[optimizer] * gradients, ledger.peak)


def _step(module: nn.Module, arguments: Any, named: Any, mode: FakeTensorMode, ledger: _Ledger) -> int:
    """Forward and backward pass; the bytes alive between them."""
    with torch.enable_grad(), mode, ledger:
        try:
            output = module(*arguments, **named)
        except Exception as error:
            text = " ".join(str(error).split())
            raise ConvlensError(
                f"the forward pass of {type(module).__name__} fails in training mode: {text}"
            ) from error
        saved = ledger.turn()
        scores = [each for each in _tensors(output) if each.is_floating_point() and each.requires_grad]
        del output
        gradients = [torch.ones_like(each) for each in scores]
        torch.autograd.backward(scores, gradients)
    return saved


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [tensor for each in value.values() for tensor in _tensors(each)]
    if isinstance(value, list | tuple):
        return [tensor for each in value for tensor in _tensors(each)]
    return []
