"""A network cut into stages of about equal cost, each a module that takes what crosses the cut before it.

The network's own forward pass is traced with its blocks kept whole, so a cut falls between two blocks; whatever is made
before it and used after it crosses, such as the outputs of two cells of AmoebaNet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor, fx, nn

from convlens.anatomy import inspect
from convlens.errors import ConvlensError
from convlens.networks import WithAuxiliary
from convlens.networks.size_checks import check_smallest

_OPENED = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    """One stage.

    Attributes:
        module: from the tensors that cross into it to those that cross out of it, a tuple; parts are the network's own.
        blocks: names of the modules that it calls.
        cost: its share of the network's cost.
        auxiliary: weight of the auxiliary heads whose scores follow the network's, None without such; last stage only.
    """

    module: fx.GraphModule
    blocks: tuple[str, ...]
    cost: float
    auxiliary: float | None = None


def block_costs(network: nn.Module, shape: Sequence[int]) -> list[float]:
    """The cost of every block of a network, in the order of its forward pass; together they are 1.

    It is half the block's share of the multiplications and half its share of the bytes that its operations write, as
    the anatomy counts them. A module that is called again costs nothing more.

    Args:
        network: in training mode.
        shape: of the images, (N, C, H, W).

    Raises:
        ConvlensError: a network whose forward pass cannot be followed.
    """
    calls = [str(node.target) for node in _traced(network).nodes if node.op == "call_module"]
    names = list(dict.fromkeys(calls))
    macs, written = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for row in inspect(network, tuple(shape)).rows:
        block = next((name for name in names if row.module == name or row.module.startswith(f"{name}.")), None)
        if block is not None:
            macs[block] += row.macs or 0
            written[block] += row.bytes_written
    all_macs, all_written = sum(macs.values()) or 1.0, sum(written.values()) or 1.0
    costs = {name: (macs[name] / all_macs + written[name] / all_written) / 2 for name in names}
    return [costs.pop(name, 0.0) for name in calls]


def cut(network: nn.Module, costs: Sequence[float], stages: int) -> tuple[Segment, ...]:
    """Cut a network so that the costliest stage is as cheap as it can be.

    Args:
        network: in training mode.
        costs: `block_costs` of it.
        stages: how many.

    Raises:
        ConvlensError: a network whose forward pass cannot be followed, or that has fewer blocks than stages.
    """
    graph = _traced(network)
    nodes = [node for node in graph.nodes if node.op not in ("placeholder", "output")]
    blocks = [node for node in nodes if node.op == "call_module"]
    if len(blocks) < stages:
        raise ConvlensError(
            f"{type(network).__name__} has {len(blocks)} blocks one after the other and cannot be cut into {stages} "
            f"stages; use --pipeline {len(blocks)} or less"
        )
    ends = [blocks[end] for end in partition(costs, stages)[:-1]]  # the first block of every stage but the first
    starts = [nodes[0], *ends]
    segments = []
    for number, start in enumerate(starts):
        begin = nodes.index(start)
        stop = nodes.index(starts[number + 1]) if number + 1 < stages else len(nodes)
        own = nodes[begin:stop]
        module, auxiliary = _segment(network, graph, own, nodes[stop:])
        names = tuple(str(node.target) for node in own if node.op == "call_module")
        share = sum(cost for cost, node in zip(costs, blocks, strict=True) if node in own)
        segments.append(Segment(module=module, blocks=names, cost=share, auxiliary=auxiliary))
    return tuple(segments)


def partition(costs: Sequence[float], parts: int) -> list[int]:
    """Ends of consecutive parts whose largest sum is as small as it can be; every part has one at least.

    >>> partition([1, 1, 1, 3, 2, 2], 3)
    [3, 4, 6]
    """
    sums = reduce(lambda done, cost: [*done, done[-1] + cost], costs, [0.0])
    count = len(costs)
    best: dict[tuple[int, int], tuple[float, list[int]]] = {(0, 0): (0.0, [])}  # (parts, costs) -> largest sum, ends
    for part in range(1, parts + 1):
        for end in range(part, count - parts + part + 1):
            candidates = [
                (max(best[part - 1, start][0], sums[end] - sums[start]), [*best[part - 1, start][1], end])
                for start in range(part - 1, end)
                if (part - 1, start) in best
            ]
            best[part, end] = min(candidates)
    return best[parts, count][1]


def crossing(segments: Sequence[Segment], x_NCHW: Tensor) -> list[tuple[Tensor, ...]]:
    """What goes into every stage, and out of the last: tensors without memory, for images of this shape and type."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    found: list[tuple[Tensor, ...]] = []
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():
        inputs: tuple[Tensor, ...] = (mode.from_tensor(x_NCHW),)
        for segment in segments:
            found.append(inputs)
            modes = [(module, module.training) for module in segment.module.modules()]
            segment.module.eval()  # no statistics move
            try:
                inputs = segment.module(*inputs)
            finally:
                for module, training in modes:
                    module.training = training
        found.append(inputs)
    return [tuple(torch.empty(t.shape, dtype=torch.float32, device="meta") for t in each) for each in found]


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, _name: str) -> bool:
        return not isinstance(module, _OPENED)


def _traced(network: nn.Module) -> fx.Graph:
    try:
        return _Tracer(autowrap_functions=(check_smallest,)).trace(network)
    except Exception as error:  # what a forward pass may do is anybody's
        reason = " ".join(str(error).split())[:120]
        raise ConvlensError(
            f"{type(network).__name__} cannot be cut into stages: its forward pass decides by values ({reason}); "
            "train it without --pipeline, or with --shard"
        ) from None


def _segment(
    network: nn.Module, whole: fx.Graph, own: Sequence[fx.Node], later: Sequence[fx.Node]
) -> tuple[fx.GraphModule, float | None]:
    """A graph of some of the nodes, between what comes in and what goes out."""
    output = next(node for node in whole.nodes if node.op == "output")
    first = own[0]
    before = [node for node in whole.nodes if node < first]
    crossing_in = [node for node in before if any(user >= first for user in node.users)]
    last = not later
    if last:
        result, auxiliary = _flat(output.args[0])
    else:
        made = [*before, *own]
        result = [node for node in made if any(user in later or user is output for user in node.users)]
        auxiliary = None
    graph = fx.Graph()
    copies = {node: graph.placeholder(f"input_{number}") for number, node in enumerate(crossing_in)}
    for node in own:
        copies[node] = graph.node_copy(node, lambda old: copies[old])
    # What only passes through must be a tensor of its own, which the stages' gradients are told from.
    passed = [graph.call_method("clone", (copies[node],)) if node in crossing_in else copies[node] for node in result]
    graph.output(tuple(passed))
    return fx.GraphModule(network, graph), auxiliary


def _flat(result: Any) -> tuple[list[fx.Node], float | None]:
    if result.op == "call_function" and result.target is WithAuxiliary:
        scores, auxiliary, weight = result.args
        return [scores, *auxiliary], weight
    return [result], None
