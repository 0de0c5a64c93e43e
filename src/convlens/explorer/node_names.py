"""What a node of the drawing is, in the papers' words: `3×3 conv, 64 /2`, `max pool 3×3 /2`, `4 × Bottleneck`."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from convlens.graph import Graph, Operation
from convlens.graph.operators import AdaptivePool, Convolution, Pool, kinds, plain

NORMS, ACTIVATIONS, PRODUCTS = kinds("norm"), kinds("activation"), kinds("product")
QUIET = kinds("view", "copy", "creation")  # nothing is calculated, so nothing is drawn
GLOBAL_POOLS = {"mean": "average", "amax": "max"}

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
    mains = [each for each in operations if plain(each.kind) not in (NORMS | ACTIVATIONS | QUIET)]
    words = tuple(_follower(each) for each in operations if plain(each.kind) in NORMS | ACTIVATIONS)
    if len(mains) == 1:
        return replace(_main(graph, mains[0]), follows=words)
    if not mains:
        return Part(type="follower", label=" · ".join(words), details={})
    label = repeated(graph, module or "") or _contents(kind, mains)
    return Part(type="module", label=label, details={"kind": kind})


def _follower(operation: Operation) -> str:
    return "BN" if plain(operation.kind) in NORMS else SHORT.get(plain(operation.kind), plain(operation.kind))


def _main(graph: Graph, operation: Operation) -> Part:
    kind = plain(operation.kind)
    if (convolution := Convolution.of(operation)) is not None:
        return _convolution(graph, operation, convolution)
    if kind in PRODUCTS:
        width = graph.tensors[operation.outputs[0]].shape[-1]
        return Part(type="linear", label=f"fc {width}", details={"out": width})
    if (how := pooling(operation)) is not None:
        return _pool(graph, operation, how)
    types = {"add": ("add", "+"), "cat": ("concat", "concat"), "mul": ("multiply", "×")}
    type_, label = types.get(kind, ("other", kind))
    return Part(type=type_, label=label, details={})


def pooling(operation: Operation) -> str | None:
    """How an operation pools, "max" or "average"; None if it does not."""
    pool = Pool.of(operation) or AdaptivePool.of(operation)
    return pool.how if pool is not None else GLOBAL_POOLS.get(operation.kind)


def _convolution(graph: Graph, operation: Operation, convolution: Convolution) -> Part:
    weight, groups = graph.tensors[convolution.weight].shape, convolution.groups
    return spelt_convolution(
        kernel=weight[2:],
        out=graph.tensors[operation.outputs[0]].shape[1],
        groups=groups,
        depthwise=groups > 1 and groups == graph.tensors[convolution.input].shape[1],
        stride=convolution.stride,
        dilation=convolution.dilation,
        transposed=convolution.transposed,
    )


def spelt_convolution(
    *,
    kernel: Sequence[int],
    out: int,
    groups: int,
    depthwise: bool,
    stride: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
) -> Part:
    """A convolution in the papers' words, such as `3×3 conv, 64 /2`."""
    words = "×".join(str(side) for side in kernel)
    words += f" {'transposed ' if transposed else ''}{'depthwise' if depthwise else 'conv'}, {out}"
    words += f", {groups} groups" if groups > 1 and not depthwise else ""
    words += f" /{stride[0]}" if max(stride) > 1 else ""
    words += f", dilation {dilation[0]}" if max(dilation) > 1 else ""
    details = {"kernel_size": list(kernel), "stride": list(stride), "groups": groups, "dilation": list(dilation)}
    return Part(type="convolution", label=words, details=details)


def _pool(graph: Graph, operation: Operation, how: str) -> Part:
    output, pool = graph.tensors[operation.outputs[0]].shape, Pool.of(operation)
    if pool is not None:
        return spelt_pool(how, pool.kernel_size, pool.stride)
    if operation.kind in GLOBAL_POOLS or output[-2:] == (1, 1):
        return spelt_pool(how)
    return Part(type="pool", label=f"adaptive {how} pool {output[-2]}×{output[-1]}", details={})


def spelt_pool(how: str, kernel: Sequence[int] = (), stride: Sequence[int] = ()) -> Part:
    """A pooling in the papers' words, such as `3×3 max pool /2`; of the whole map without a kernel."""
    if not kernel:
        return Part(type="pool", label=f"global {how} pool", details={})
    label = f"{kernel[0]}×{kernel[-1]} {how} pool" + (f" /{stride[0]}" if max(stride) > 1 else "")
    return Part(type="pool", label=label, details={"kernel_size": list(kernel), "stride": list(stride)})


def _contents(kind: str, mains: list[Operation]) -> str:
    """Name a plain container by what it computes, anything else by its class."""
    if kind not in ("Sequential", "ModuleList"):
        return kind
    words = {"convolution": "conv"} | dict.fromkeys(PRODUCTS, "fc")
    pools = ((each, pooling(each)) for each in mains)
    found = Counter(f"{how} pool" if how else words.get(plain(each.kind), plain(each.kind)) for each, how in pools)
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
