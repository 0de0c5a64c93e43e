"""Any module as a frozen program: evaluation mode, batch norm folded, softmax at its end, batch size left open."""

import copy
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx, nn
from torch.export import Dim, ExportedProgram
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from convlens.errors import ConvlensError
from convlens.predicting.probabilities import Probabilities

_aten = torch.ops.aten
# what a recording adds around the network's own operations
_AROUND = (_aten.sym_size.int, _aten.to.dtype, _aten._assert_tensor_metadata.default)
# the operation before a batch norm -> how its weight and bias take the norm in
_FUSIONS: dict[Any, Callable[..., tuple[nn.Parameter, nn.Parameter]]] = {
    _aten.conv2d.default: fuse_conv_bn_weights,
    _aten.linear.default: fuse_linear_bn_weights,
}


def freeze(
    network: nn.Module, channels: int, size: tuple[int, int], *, dtype: torch.dtype = torch.float32
) -> ExportedProgram:
    """Record `network` as a program from preprocessed images (N, C, H, W), any N, to probabilities (N, K).

    The network itself is left as it is.

    Args:
        network: from (N, C, H, W) to (N, K) scores, larger meaning likelier.
        channels: C.
        size: (H, W); a program is for one size.
        dtype: of the weights and the arithmetic; input and output stay float32.

    Raises:
        ConvlensError: torch.export cannot follow the network, or the network insists on one batch size.
    """
    own = copy.deepcopy(network).to(device="cpu", dtype=torch.float32, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    # Two images, because torch.export takes a batch of one for a constant.
    x_NCHW = torch.zeros(2, channels, *size)
    with quiet_export():
        folded = fold_batch_norm(_export(own.eval(), x_NCHW).module())
        recorded = [(node.target, node.meta.get("nn_module_stack")) for node in _calls(folded.graph)]
        program = _export(Probabilities(folded, dtype), x_NCHW)
    _restore_modules(program, recorded)
    program._example_inputs = None  # an archive would keep them as a pickle
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of the machine that it ran on
    return program


def fold_batch_norm(module: fx.GraphModule) -> fx.GraphModule:
    """Take every batch norm that follows a convolution or a linear layer into that layer's weights.

    A norm whose input is used elsewhere too, or comes from something else, stays.
    """
    for node in list(module.graph.nodes):
        if node.op == "call_module" and node.target == "_guards_fn":  # checks of the example's shape
            module.graph.erase_node(node)
        elif node.target is _aten.batch_norm.default and _is_foldable(node):
            _fold(module, node)
    module.graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    module.recompile()
    return module


def _calls(graph: fx.Graph) -> list[fx.Node]:
    return [node for node in graph.nodes if node.op == "call_function"]


def _restore_modules(program: ExportedProgram, recorded: list[tuple[Any, Any]]) -> None:
    """Give each operation back the module that it was first recorded in, which a second recording forgets.

    Both have the network's operations in the same order; the second has conversions and a softmax around them.
    """
    waiting = [(target, stack) for target, stack in recorded if target not in _AROUND]
    for node in _calls(program.graph):
        if waiting and node.target == waiting[0][0]:
            _, stack = waiting.pop(0)
            if stack:
                node.meta["nn_module_stack"] = stack


@contextmanager
def quiet_export() -> Iterator[None]:
    """Hide what torch's exporters say about themselves: a deprecation within torch, a package that is not needed."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registration.level
    registration.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            yield
    finally:
        registration.setLevel(level)


def _export(module: nn.Module, x_NCHW: torch.Tensor) -> ExportedProgram:
    try:
        return torch.export.export(module, (x_NCHW,), dynamic_shapes=({0: Dim("batch", min=1)},))
    except Exception as error:  # whatever a foreign module does under tracing
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConvlensError(
            f"this network cannot be exported ({reason}); its forward must not depend on values or on the batch size"
        ) from error


def _is_foldable(norm: fx.Node) -> bool:
    before, training = norm.args[0], norm.args[5]
    return (
        isinstance(before, fx.Node)
        and before.target in _FUSIONS
        and len(before.users) == 1
        and not training
        and norm.args[3] is not None
    )


def _fold(module: fx.GraphModule, norm: fx.Node) -> None:
    layer, scale, shift, mean, variance, _, _, epsilon = norm.args[:8]
    assert isinstance(layer, fx.Node)
    x, weight, bias, *rest = (*layer.args, None) if len(layer.args) == 2 else layer.args
    tensors = [_tensor(module, node) for node in (weight, bias, mean, variance)]
    fused = _FUSIONS[layer.target](*tensors, epsilon, _tensor(module, scale), _tensor(module, shift))
    with module.graph.inserting_before(layer):
        layer.args = (x, *(_store(module, f"{layer.name}_{kind}", value) for kind, value in _named(fused)), *rest)
    norm.replace_all_uses_with(layer)
    module.graph.erase_node(norm)


def _named(fused: tuple[nn.Parameter, nn.Parameter]) -> Iterator[tuple[str, nn.Parameter]]:
    yield from zip(("weight", "bias"), fused, strict=True)


def _store(module: fx.GraphModule, name: str, value: nn.Parameter) -> fx.Node:
    module.register_parameter(name, nn.Parameter(value.detach().contiguous(), requires_grad=False))
    return module.graph.get_attr(name)


def _tensor(module: nn.Module, node: Any) -> torch.Tensor | None:
    if node is None:
        return None
    value: Any = module
    for part in str(node.target).split("."):
        value = getattr(value, part)
    assert isinstance(value, torch.Tensor)
    return value
