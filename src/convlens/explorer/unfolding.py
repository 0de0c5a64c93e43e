"""One map taken apart: the maps that it reads, each kernel, what each gives, their sum, and every step after it."""

from typing import Any

import numpy as np
import torch

from convlens import arithmetic
from convlens.explorer.atlas import check_channel, plane_dict, wires
from convlens.explorer.inside import Look
from convlens.explorer.node_names import SHORT
from convlens.graph import Operation
from convlens.graph.operators import Convolution, family, plain

MOST_INPUTS = 12


def unfold(look: Look, place: str, channel: int) -> dict[str, Any]:
    """Take one map of a layer apart.

    Returns:
        `kind`: convolution, pool, add, …. `inputs`: the maps that it reads, those with the largest share first, named
        in `sources`; for a convolution with `kernels` and `shares`. `steps`: the map after each operation; the last
        is the layer's own. `left_out`: how many inputs are not shown, for there are more.

    Raises:
        ConvlensError: the layer has no such channel.
    """
    node = look.patient.node(place)
    check_channel(node, channel)
    graph = look.patient.sheet.graph
    operations = [graph.operations[index] for index in node.operations]
    values = look.tensors({index for each in operations for index in (*each.inputs, *each.outputs)})
    first = operations[0]
    layer = Convolution.of(first)
    if layer is not None and not layer.transposed:
        found = _convolution(values, layer, channel, look, place)
    else:
        found = _read(look, place, channel)
    steps = _steps(operations, values, channel, bias=found.pop("bias", None))
    about = {"place": place, "channel": channel, "shape": list(node.shape), "type": node.part.type}
    return {**about, **found, "steps": steps}


def _convolution(
    values: dict[int, torch.Tensor], layer: Convolution, channel: int, look: Look, place: str
) -> dict[str, Any]:
    weight = values[layer.weight]
    source = values[layer.input][0]
    reads = weight.shape[1]
    first = channel // (len(weight) // layer.groups) * reads
    sides = ((layer.padding[0], layer.padding[0]), (layer.padding[-1], layer.padding[-1]))
    shares = [
        torch.from_numpy(
            arithmetic.conv2d(
                source[first + index].double().numpy(),
                weight[channel, index].double().numpy(),
                stride=(layer.stride[0], layer.stride[-1]),
                padding=sides,
                dilation=(layer.dilation[0], layer.dilation[-1]),
            )
        )
        for index in range(reads)
    ]
    order = sorted(range(reads), key=lambda index: -float(shares[index].abs().max()))[:MOST_INPUTS]
    wired = wires(look.patient, place)
    kernels = torch.stack([weight[channel, index] for index in order])
    bias = None if layer.bias is None else float(values[layer.bias][channel])
    return {
        "kind": "convolution",
        "left_out": reads - len(order),
        "sources": [{"from": wired[0]["from"] if wired else "", "channel": first + index} for index in order],
        "inputs": plane_dict(source[first + index] for index in order),
        "kernels": _numbers(kernels),
        "shares": plane_dict(shares[index] for index in order),
        "share_numbers": [_sampled(shares[index]) for index in order],
        "sum": plane_dict([torch.stack(shares).sum(0)]),
        "stride": [layer.stride[0], layer.stride[-1]],
        "padding": [layer.padding[0], layer.padding[-1]],
        "dilation": [layer.dilation[0], layer.dilation[-1]],
        "bias": bias,
        "offset": bias,
    }


def _read(look: Look, place: str, channel: int) -> dict[str, Any]:
    """What else a map reads: for each source the map that it takes from it."""
    node = look.patient.node(place)
    sources = []
    planes = []
    for wire in wires(look.patient, place):
        output = look.output(wire["from"])
        number = channel - wire.get("offset", 0)
        if output.ndim != 3 or wire["kind"] != "same" or not 0 <= number < len(output):
            continue
        sources.append({"from": wire["from"], "channel": number})
        planes.append(output[number])
    kind = {"pool": "pool", "add": "add", "multiply": "multiply", "concat": "concat", "linear": "linear"}
    return {
        "kind": kind.get(node.part.type, "other"),
        "left_out": 0,
        "sources": sources,
        "inputs": [plane_dict([each]) for each in planes],
        "window": node.part.details.get("kernel_size"),
        "stride": node.part.details.get("stride"),
    }


def _steps(
    operations: list[Operation], values: dict[int, torch.Tensor], channel: int, bias: float | None
) -> list[dict[str, Any]]:
    steps = []
    for operation in operations:
        output = values[operation.outputs[0]][0]
        if output.ndim != 3 or channel >= len(output):
            continue
        name = plain(operation.kind)
        known = {"norm": "norm", "convolution": "convolution"}.get(family(operation) or "")
        steps.append({
            "name": known or SHORT.get(name, name),
            "numbers": _sampled(output[channel]),
            **plane_dict([output[channel]]),
        })  # fmt: skip
    if bias is not None and steps:
        steps[0]["bias"] = bias
    return steps


def _numbers(planes: torch.Tensor) -> list[Any]:
    return np.vectorize(lambda value: float(f"{value:.4g}"))(planes.double().numpy()).tolist()  # type: ignore[no-any-return]


def _sampled(plane: torch.Tensor) -> list[Any] | None:
    """The numbers of a map, if there are not too many to send."""
    return _numbers(plane[None])[0] if plane.numel() <= 1024 else None
