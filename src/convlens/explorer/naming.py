"""What a node of the drawing is, in the papers' words: `3×3 conv, 64 /2`, `max pool 3×3 /2`, `4 × Bottleneck`."""

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from convlens.graph import Graph, Operation

NORMS = {"native_batch_norm", "native_layer_norm", "native_group_norm", "cudnn_batch_norm", "_native_batch_norm_legit"}
ACTIVATIONS = {"relu", "silu", "sigmoid", "tanh", "gelu", "hardtanh", "hardswish", "hardsigmoid", "leaky_relu", "elu"}
VIEWS = {"view", "_unsafe_view", "reshape", "permute", "transpose", "t", "expand", "unsqueeze", "squeeze", "alias"}
VIEWS |= {"detach", "clone", "copy", "contiguous", "slice", "select", "empty", "flatten", "_to_copy"}
POOLS = {"max_pool2d_with_indices": "max", "avg_pool2d": "average", "_adaptive_avg_pool2d": "average"}
POOLS |= {"adaptive_max_pool2d": "max", "mean": "average", "amax": "max"}
PRODUCTS = {"addmm", "mm", "bmm", "linear", "baddbmm"}

# classes of modules that only follow what is before them, and their short names
FOLLOWERS = (
    (re.compile("BatchNorm"), "BN"),
    (re.compile("LayerNorm"), "LN"),
    (re.compile("GroupNorm"), "GN"),
    (re.compile("(LocalResponse|CrossMap).*Norm|LocalResponse"), "LRN"),
    (re.compile("Dropout|DropPath|StochasticDepth"), "dropout"),
    (re.compile("Flatten|Identity"), ""),
)
SHORT = {"relu": "ReLU", "silu": "SiLU", "sigmoid": "sigmoid", "tanh": "tanh", "gelu": "GELU", "hardtanh": "ReLU6"}


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a node is.

    Attributes:
        type: input, module, convolution, linear, pool, add, concat, multiply, follower or other.
        label: in the papers' words; empty for a follower that is not worth a word.
        details: kernel_size, stride, … where it has them.
        follows: what comes after its one main operation, such as BN and ReLU.
    """

    type: str
    label: str
    details: dict[str, Any]
    follows: tuple[str, ...] = ()


def part_of(graph: Graph, operations: list[Operation], module: str | None) -> Part:
    """Say what some operations are together.

    Args:
        graph: the graph.
        operations: those of one node, in order.
        module: path of the module that they are, or None for a single operation.
    """
    kind = graph.modules[module] if module is not None else ""
    for pattern, short in FOLLOWERS:
        if kind and pattern.search(kind):
            return Part(type="follower", label=short, details={})
    mains = [each for each in operations if _plain(each) not in (NORMS | ACTIVATIONS | VIEWS)]
    words = tuple(_follower(each) for each in operations if _plain(each) in NORMS | ACTIVATIONS)
    if len(mains) == 1:
        return replace(_main(graph, mains[0]), follows=words)
    if not mains:
        return Part(type="follower", label=" · ".join(words), details={})
    label = repeated(graph, module or "") or _contents(kind, mains)
    return Part(type="module", label=label, details={"kind": kind})


def _follower(operation: Operation) -> str:
    return "BN" if _plain(operation) in NORMS else SHORT.get(_plain(operation), _plain(operation))


def _plain(operation: Operation) -> str:
    return operation.kind.rstrip("_") if not operation.kind.startswith("_") else operation.kind


def _main(graph: Graph, operation: Operation) -> Part:
    kind = _plain(operation)
    if kind == "convolution":
        return _convolution(graph, operation)
    if kind in PRODUCTS:
        width = graph.tensors[operation.outputs[0]].shape[-1]
        return Part(type="linear", label=f"fc {width}", details={"out": width})
    if kind in POOLS:
        return _pool(graph, operation, POOLS[kind])
    types = {"add": ("add", "+"), "cat": ("concat", "concat"), "mul": ("multiply", "×")}
    type_, label = types.get(kind, ("other", kind))
    return Part(type=type_, label=label, details={})


def _convolution(graph: Graph, operation: Operation) -> Part:
    weight = graph.tensors[operation.inputs[1]].shape
    arguments = operation.arguments
    stride, dilation, transposed, groups = arguments[3], arguments[5], arguments[6], arguments[8]
    kernel = "×".join(str(side) for side in weight[2:])
    depthwise = groups > 1 and groups == graph.tensors[operation.inputs[0]].shape[1]
    words = f"{kernel} {'transposed ' if transposed else ''}{'depthwise' if depthwise else 'conv'}, "
    words += str(graph.tensors[operation.outputs[0]].shape[1])
    words += f", {groups} groups" if groups > 1 and not depthwise else ""
    words += f" /{stride[0]}" if max(stride) > 1 else ""
    words += f", dilation {dilation[0]}" if max(dilation) > 1 else ""
    details = {"kernel_size": list(weight[2:]), "stride": list(stride), "groups": groups, "dilation": list(dilation)}
    return Part(type="convolution", label=words, details=details)


def _pool(graph: Graph, operation: Operation, how: str) -> Part:
    output = graph.tensors[operation.outputs[0]].shape
    if operation.kind in ("mean", "amax") or (
        operation.kind.startswith(("_adaptive", "adaptive")) and output[-2:] == (1, 1)
    ):
        return Part(type="pool", label=f"global {how} pool", details={})
    if operation.kind.startswith(("_adaptive", "adaptive")):
        return Part(type="pool", label=f"adaptive {how} pool {output[-2]}×{output[-1]}", details={})
    kernel = operation.arguments[1]
    stride = operation.arguments[2] if len(operation.arguments) > 2 and operation.arguments[2] else kernel
    label = f"{kernel[0]}×{kernel[-1]} {how} pool" + (f" /{stride[0]}" if max(stride) > 1 else "")
    return Part(type="pool", label=label, details={"kernel_size": list(kernel), "stride": list(stride)})


def _contents(kind: str, mains: list[Operation]) -> str:
    """Name a plain container by what it computes, anything else by its class."""
    if kind not in ("Sequential", "ModuleList"):
        return kind
    words = (
        {"convolution": "conv"} | dict.fromkeys(PRODUCTS, "fc") | {pool: f"{how} pool" for pool, how in POOLS.items()}
    )
    found = Counter(words.get(_plain(each), _plain(each)) for each in mains)
    return " + ".join(f"{count} {word}" if count > 1 else word for word, count in found.items())


def group_label(graph: Graph, module: str) -> str:
    """Name an open module: what it repeats, or its class if that says something."""
    kind = graph.modules[module]
    return repeated(graph, module) or ("" if kind in ("Sequential", "ModuleList") else kind)


def repeated(graph: Graph, module: str) -> str:
    """`4 × Bottleneck`, for a plain container of modules of one class that is ours or the user's own."""
    if graph.modules[module] not in ("Sequential", "ModuleList"):
        return ""
    prefix = f"{module}." if module else ""
    inside = [
        name for name in graph.modules if name.startswith(prefix) and "." not in name[len(prefix) :] and name != module
    ]
    kinds = {graph.modules[name] for name in inside}
    if len(kinds) != 1 or kinds <= {"Sequential", "Conv2d", "Linear"}:
        return ""
    return f"{len(inside)} × {kinds.pop()}" if len(inside) > 1 else kinds.pop()
