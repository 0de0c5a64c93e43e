"""Rewrite the graph of a classifier so that nothing in it flattens: the steps behind `fully_convolutional`."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp, TensorMetadata

from convlens.errors import ConvlensError

# What flattens a map (N, C, h, w) to (N, C·h·w), as a function or as a method of a tensor.
_FLATTENING = {torch.flatten, torch.reshape, torch.squeeze, "flatten", "reshape", "view", "squeeze"}
_MEAN = {torch.mean, "mean"}


class NotConvertibleError(ConvlensError):
    """A network whose head is not made of flattening, linear layers and what acts on single elements."""


def trace(network: nn.Module, x: Tensor) -> fx.GraphModule:
    """Write down the operations of one forward pass, each with the shape that it gives for `x`."""
    graph = fx.symbolic_trace(network)
    with torch.no_grad():
        ShapeProp(graph).propagate(x)
    for node in graph.graph.nodes:
        shape = _shape(node)
        if shape is not None and len(shape) == 4:
            node.meta["map"] = shape[1:]
    return graph


def rewrite(graph: fx.GraphModule, name: str) -> None:
    """Take the flattening out, and replace linear layers by convolutions and global pools by sliding ones."""
    modules = dict(graph.named_modules())
    flattened = False
    for node in list(graph.graph.nodes):
        if _flattens(node, modules):
            flattened = True
            _pool_before(graph, node, modules, name)
            node.replace_all_uses_with(node.args[0])
            graph.graph.erase_node(node)
        elif _averages(node):
            flattened = True
            _slide_mean(graph, node)
        elif "map" not in node.meta and node.args and isinstance(node.args[0], fx.Node):
            _convert(graph, node, modules, name)
    if not flattened:
        raise NotConvertibleError(f"{name} flattens nothing, so it has no classifier to convert")
    graph.graph.eliminate_dead_code()
    graph.graph.lint()
    graph.recompile()


def _shape(node: fx.Node) -> tuple[int, ...] | None:
    recorded = node.meta.get("tensor_meta")
    return tuple(recorded.shape) if isinstance(recorded, TensorMetadata) else None


def _loses_the_map(node: fx.Node) -> bool:
    before = node.args[0] if node.args else None
    shape = _shape(node)
    return isinstance(before, fx.Node) and "map" in before.meta and shape is not None and len(shape) == 2


def _flattens(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    is_module = node.op == "call_module" and isinstance(modules[str(node.target)], nn.Flatten)
    return (is_module or node.target in _FLATTENING) and _loses_the_map(node)


def _averages(node: fx.Node) -> bool:
    return node.target in _MEAN and _loses_the_map(node)


def _convert(graph: fx.GraphModule, node: fx.Node, modules: dict[str, nn.Module], name: str) -> None:
    """A layer after the flattening: linear becomes convolution, 1-d batch norm 2-d, single elements stay."""
    channels_height_width = node.args[0].meta.get("map")  # type: ignore[union-attr]
    if channels_height_width is None:
        return
    module = modules[str(node.target)] if node.op == "call_module" else None
    if isinstance(module, nn.Linear):
        _replace(graph, modules, node, _as_convolution(module, channels_height_width))
        channels_height_width = (module.out_features, 1, 1)
    elif isinstance(module, nn.BatchNorm1d):
        if channels_height_width[1:] != (1, 1):
            raise NotConvertibleError(f"{name}: {node.target} norms the pixels of a map one by one, which cannot slide")
        _replace(graph, modules, node, _as_2d(module))
    node.meta["map"] = channels_height_width


def _as_convolution(linear: nn.Linear, channels_height_width: tuple[int, int, int]) -> nn.Conv2d:
    channels, height, width = channels_height_width
    weight = linear.weight
    convolution = nn.Conv2d(
        channels, linear.out_features, (height, width), bias=linear.bias is not None, device="meta", dtype=weight.dtype
    )
    kernel = weight.detach().reshape(linear.out_features, channels, height, width)
    convolution.weight = nn.Parameter(kernel, requires_grad=weight.requires_grad)
    if linear.bias is not None:
        convolution.bias = nn.Parameter(linear.bias.detach(), requires_grad=linear.bias.requires_grad)
    return convolution


def _as_2d(norm: nn.BatchNorm1d) -> nn.BatchNorm2d:
    twin = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    twin.load_state_dict(norm.state_dict())
    return twin.to(next(iter(norm.state_dict().values())).device)


def _pool_before(graph: fx.GraphModule, flatten: fx.Node, modules: dict[str, nn.Module], name: str) -> None:
    """Between the last map and the flattening, let a pool to a fixed size slide with the windows that it had."""
    node: Any = flatten.args[0]
    while node.op == "call_module" and not isinstance(modules[str(node.target)], nn.Conv2d | nn.Sequential):
        module = modules[str(node.target)]
        if isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
            before, after = node.args[0].meta["map"][1:], node.meta["map"][1:]
            _replace(graph, modules, node, _sliding(module, before, after, name))
            return
        if isinstance(module, nn.MaxPool2d | nn.AvgPool2d | nn.BatchNorm2d):
            return
        node = node.args[0]
    if node.op == "call_function" and node.target in (F.adaptive_avg_pool2d, F.adaptive_max_pool2d):
        kind = nn.AdaptiveAvgPool2d if node.target is F.adaptive_avg_pool2d else nn.AdaptiveMaxPool2d
        before, after = node.args[0].meta["map"][1:], node.meta["map"][1:]
        pool = _sliding(kind(after), before, after, name)
        graph.add_module("sliding_pool", pool)
        with graph.graph.inserting_before(node):
            sliding = graph.graph.call_module("sliding_pool", (node.args[0],))
        sliding.meta["map"] = node.meta["map"]
        node.replace_all_uses_with(sliding)
        graph.graph.erase_node(node)


def _sliding(pool: nn.Module, before: tuple[int, int], after: tuple[int, int], name: str) -> nn.Module:
    """A pool whose windows on a map of size `before` are those of the pool to the fixed size `after`."""
    if before == after:
        return nn.Identity()
    if any(had % gives for had, gives in zip(before, after, strict=True)):
        raise NotConvertibleError(
            f"{name} pools a map of {before[0]}×{before[1]} to {after[0]}×{after[1]} by windows of unequal size; "
            "give a size whose map is a multiple"
        )
    kernel = (before[0] // after[0], before[1] // after[1])
    stride = (1 if after[0] == 1 else kernel[0], 1 if after[1] == 1 else kernel[1])
    return (nn.AvgPool2d if isinstance(pool, nn.AdaptiveAvgPool2d) else nn.MaxPool2d)(kernel, stride)


def _slide_mean(graph: fx.GraphModule, node: fx.Node) -> None:
    before = node.args[0]
    assert isinstance(before, fx.Node)
    with graph.graph.inserting_before(node):
        pooled = graph.graph.call_function(F.avg_pool2d, (before, tuple(before.meta["map"][1:]), 1))
    pooled.meta["map"] = (before.meta["map"][0], 1, 1)
    node.replace_all_uses_with(pooled)
    graph.graph.erase_node(node)


def _replace(graph: fx.GraphModule, modules: dict[str, nn.Module], node: fx.Node, module: nn.Module) -> None:
    name = str(node.target)
    parent, _, leaf = name.rpartition(".")
    setattr(graph.get_submodule(parent), leaf, module)
    modules[name] = module
