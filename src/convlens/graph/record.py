"""Record one forward pass, under fake tensors: nothing is computed, nothing is allocated, the module is not changed.

Where what the pass does depends on numbers, they can be computed on request, with copies of the module's tensors.
"""

from collections.abc import Mapping, Sequence
from contextvars import copy_context
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from convlens.errors import ConvlensError
from convlens.graph.interception import Recorder
from convlens.graph.isolation import expelled, isolated, without_frames
from convlens.graph.module_calls import watched_calls
from convlens.graph.stand_in import Copies, StandIns, refuse_lazy
from convlens.graph.structure import Graph


def record(
    module: nn.Module,
    *inputs: Any,
    keywords: Mapping[str, Any] | None = None,
    training: bool = False,
    real: bool = False,
) -> Graph:
    """Record what one forward pass of `module` does.

    The module runs under fake tensors: shapes and dtypes are worked out, no number is. Its parameters are not copied;
    its mode, gradients, buffers, hooks and attributes are afterwards what they were before. A forward pass that fails
    leaves the graph up to the failure, with `Graph.failure` saying why.

    Args:
        module: any `nn.Module`; parameters on any device, the meta device too.
        inputs: one for each argument of `forward`: a size such as `(3, 224, 224)`, to which a batch of 1 is added (four
            or more numbers are taken as they are), a tensor, of which only shape and dtype are used, a list, tuple or
            dict of these, or any other value, which is passed on.
        keywords: keyword arguments of `forward`, of the same kinds.
        training: record the training mode instead of the evaluation mode.
        real: compute the numbers, with copies of parameters and buffers; for a forward pass whose course depends on
            them. Sizes stand for inputs between 0 and 1 then. What is recorded is what happens for these numbers.

    Raises:
        ConvlensError: a lazy module that was never run, or a size that is not made of positive whole numbers.

    >>> graph = record(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), (3, 32, 32))
    >>> [operation.name for operation in graph.operations]
    ['0.convolution', '1.relu']
    >>> graph.tensors[graph.outputs[0]].shape
    (1, 8, 30, 30)
    """
    refuse_lazy(module)
    if real and any(each.device.type == "meta" for each in (*module.parameters(), *module.buffers())):
        raise ConvlensError("a real forward pass needs numbers, and parameters of the meta device have none")
    stand_ins = Copies() if real else StandIns()
    with expelled(stand_ins), isolated(module, stand_ins, inputs, keywords, training=training, gradients=False) as tree:
        graph = _recorded(tree(), inputs, keywords or {}, stand_ins)
    return replace(graph, real=real)


def _recorded(module: nn.Module, inputs: Sequence[Any], keywords: Mapping[str, Any], stand_ins: StandIns) -> Graph:
    arguments, named = fake_arguments(module, inputs, keywords, stand_ins)
    recorder = Recorder(module, stand_ins)
    results, error = None, None
    recorder.meet_inputs((arguments, named))
    recorder.meet_state()
    with torch.no_grad(), stand_ins.mode, recorder, watched_calls(recorder):
        try:
            results = copy_context().run(module, *arguments, **named)
        except Exception as failure:
            error = without_frames(failure)
    return recorder.graph((arguments, named), results, error)


def fake_arguments(
    module: nn.Module, inputs: Sequence[Any], keywords: Mapping[str, Any], stand_ins: StandIns
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments with fake tensors in place of sizes and tensors, of the parameters' dtype."""
    dtype = next((p.dtype for p in module.parameters() if p.dtype.is_floating_point), torch.float32)
    arguments = tuple(_stand_in(each, stand_ins, dtype) for each in inputs)
    named = {name: _stand_in(each, stand_ins, dtype) for name, each in keywords.items()}
    return arguments, named


def _stand_in(value: Any, stand_ins: StandIns, dtype: torch.dtype) -> Any:
    """Turn sizes and tensors, however nested, into fake tensors; leave everything else alone."""
    if isinstance(value, torch.Tensor):
        return stand_ins.of(value.detach() if value.requires_grad else value)
    if _is_size(value):
        return _from_size(tuple(value), stand_ins, dtype)
    if isinstance(value, Mapping):
        return {name: _stand_in(each, stand_ins, dtype) for name, each in value.items()}
    if isinstance(value, list | tuple):
        items = [_stand_in(each, stand_ins, dtype) for each in value]
        if hasattr(value, "_fields"):
            return type(value)(*items)
        return tuple(items) if isinstance(value, tuple) else items
    return value


def _is_size(value: Any) -> bool:
    if isinstance(value, torch.Size):
        return True
    return isinstance(value, list | tuple) and bool(value) and all(type(each) is int for each in value)


def _from_size(size: tuple[int, ...], stand_ins: StandIns, dtype: torch.dtype) -> Any:
    if min(size) < 1:
        raise ConvlensError(f"input size {size} must be made of positive numbers, such as (3, 224, 224)")
    return stand_ins.input(size if len(size) > 3 else (1, *size), dtype)
