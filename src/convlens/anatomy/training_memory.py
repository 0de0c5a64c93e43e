"""How many bytes a training step holds at once: the step is run on fake tensors, and a ledger of storages is kept."""

from collections.abc import Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from convlens.anatomy.workspace import Layer
from convlens.errors import ConvlensError, unknown_name
from convlens.graph.isolation import expelled, isolated
from convlens.graph.nests import leaves
from convlens.graph.operators import named
from convlens.graph.record import fake_arguments
from convlens.graph.stand_in import StandIns

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

    def __init__(self, stand_ins: StandIns) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stand_ins = stand_ins
        self.peak = 0
        self._backward = False
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self._bytes = 0
        self._before: dict[int, StorageWeakRef] = {}

    def ignore(self, tensors: Any) -> None:
        """Leave out what was there before the step."""
        for tensor in tensors:
            self._stand_ins.saw(tensor)
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
        if "lift" not in func.__name__:
            args, kwargs = self._stand_ins.instead((args, kwargs or {}))
        result = func(*args, **(kwargs or {}))
        for tensor in leaves(result, torch.Tensor):
            self._stand_ins.saw(tensor)
            if tensor.layout is torch.strided:
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
    """What an operation needs for itself: of a convolution and its gradient."""
    backward = func is torch.ops.aten.convolution_backward.default
    if not backward and func is not torch.ops.aten.convolution.default:
        return 0
    given = named(func, args, {})
    x, weight, y = given["input"], given["weight"], given["grad_output"] if backward else result
    layer = Layer.of(given, tuple(x.shape), tuple(x.stride()), tuple(weight.shape), tuple(y.shape), y.dtype)
    return layer.backward(of_input=given["output_mask"][0]) if backward else layer.forward()


def training_memory(
    module: nn.Module, *inputs: Any, keywords: Mapping[str, Any] | None = None, optimizer: str = "sgd"
) -> TrainingMemory:
    """Work out what one training step of `module` holds at its peak, without computing or allocating it.

    The sum of all floating-point outputs stands for the loss, whose own tensors are small beside the network's.

    Args:
        module: any module; left as it was.
        inputs: as for `convlens.inspect`; give the batch, such as `(64, 3, 224, 224)`.
        keywords: arguments of `forward` that are given by name.
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
    stand_ins = StandIns()
    with expelled(stand_ins), isolated(module, stand_ins, inputs, keywords, training=True, gradients=True) as tree:
        done = _step(tree(), inputs, keywords or {}, stand_ins)
    if isinstance(done, str):
        raise ConvlensError(f"the forward pass of {type(module).__name__} fails in training mode: {done}")
    saved, peak = done
    gradients = sum(parameter.nbytes for parameter in trained)
    return TrainingMemory(saved, gradients, COPIES[optimizer] * gradients, peak)


def _step(
    module: nn.Module, inputs: Sequence[Any], keywords: Mapping[str, Any], stand_ins: StandIns
) -> tuple[int, int] | str:
    """Forward and backward pass; the bytes alive between them, and at the most; or why the forward pass fails."""
    arguments, named = fake_arguments(module, inputs, keywords, stand_ins)
    ledger = _Ledger(stand_ins)
    ledger.ignore([*module.parameters(), *module.buffers(), *leaves((arguments, named), torch.Tensor)])
    with torch.enable_grad(), stand_ins.mode, ledger:
        try:
            output = copy_context().run(module, *arguments, **named)
        except Exception as error:
            return " ".join(str(error).split()) or type(error).__name__
        saved = ledger.turn()
        scores = [each for each in leaves(output, torch.Tensor) if each.is_floating_point() and each.requires_grad]
        del output
        gradients = [torch.ones_like(each) for each in scores]
        torch.autograd.backward(scores, gradients)
    return saved, ledger.peak
