"""The arithmetic of one unit: every number that it is made of, computed again in float64 and held against the tensor.

The unit's own layer computes from the layer's real input, so what is shown is exactly what the network did, up to the
rounding of float32.
"""

import math
from typing import Any

import numpy as np
import torch

from convlens import arithmetic
from convlens.errors import ConvlensError
from convlens.explorer.inside import Look
from convlens.explorer.node_names import ACTIVATIONS, NORMS, PRODUCTS, QUIET, SHORT
from convlens.graph import Graph, Operation, Ref
from convlens.graph.operators import Convolution, Norm, Pool, arguments_of, family, kinds, plain

STILL = QUIET | kinds("join") | {"constant_pad_nd"}  # nothing is calculated
EPSILON = float(np.finfo(np.float32).eps)


class Unit:
    """One number of one layer's output, followed from operation to operation."""

    def __init__(self, look: Look, place: str, position: tuple[int, ...]) -> None:
        self.graph: Graph = look.patient.sheet.graph
        self.node = look.patient.node(place)
        self.position = _checked(position, self.node.shape)
        self._operations = [self.graph.operations[index] for index in self.node.operations]
        needed = {index for each in self._operations for index in (*each.inputs, *each.outputs)}
        self._values = look.tensors(needed | {self.node.output})
        self._before: float | None = None

    def stages(self) -> list[dict[str, Any]]:
        """Each operation with its numbers, its result here, and the network's own."""
        stages = []
        for operation in self._operations:
            self._here = self._place(operation.outputs[0])
            stage = self._stage(operation)
            if stage is None:
                continue
            actual = self._at(operation.outputs[0], self._here)
            if "result" not in stage:
                stage |= {"result": actual, "scale": abs(actual), "terms": 1}
            self._before = stage["result"]
            stages.append(stage | {"actual": actual})
        if not stages:  # reshaping, slicing and stacking compute nothing
            value = self.value()
            stages.append({"kind": "copy", "result": value, "actual": value, "scale": abs(value), "terms": 1})
        return stages

    def value(self) -> float:
        """The number itself."""
        return self._at(self.node.output, self.position)

    def _at(self, tensor: int, place: tuple[int, ...]) -> float:
        return float(self._values[tensor][0][place].double())

    def _place(self, tensor: int) -> tuple[int, ...]:
        """Where the unit is in another shape of the same numbers, such as before flattening."""
        shape = self._values[tensor].shape[1:]
        if tuple(shape) == self.node.shape or np.prod(shape) != np.prod(self.node.shape):
            return self.position
        flat = np.ravel_multi_index(self.position, self.node.shape)
        return tuple(int(index) for index in np.unravel_index(flat, shape))

    def _stage(self, operation: Operation) -> dict[str, Any] | None:
        kind, convolution = plain(operation.kind), Convolution.of(operation)
        if kind in STILL:
            return None
        if convolution is not None and len(self._here) == 3:
            return self._convolution(convolution)
        if kind in PRODUCTS and len(self._here) == 1:
            return self._product(operation)
        norm, pool = Norm.of(operation), Pool.of(operation)
        if norm is not None and norm.how == "batch" and not norm.computes:
            return self._norm(operation, norm)
        if kind in ACTIVATIONS:
            return self._activation(operation, kind)
        if kind in ("add", "mul") and len(operation.inputs) == 2:
            return self._pair(operation, kind)
        if kind in ("mean", "_adaptive_avg_pool2d"):
            return self._global_pool(operation)
        if pool is not None and len(self._here) == 3 and len(pool.kernel_size) == 2 and set(pool.dilation) == {1}:
            return self._pool(pool)
        name = "norm" if kind in NORMS else kind
        return {"kind": "other", "name": name}

    def _convolution(self, layer: Convolution) -> dict[str, Any] | None:
        if layer.transposed:
            return {"kind": "other", "name": "transposed convolution"}
        stride, padding, dilation = layer.stride, layer.padding, layer.dilation
        channel, row, column = self._here
        kernels = self._values[layer.weight]
        kernel = kernels[channel].double().numpy()
        per_group = kernel.shape[0]
        first = channel // (kernels.shape[0] // layer.groups) * per_group
        source = self._values[layer.input][0, first : first + per_group].double().numpy()
        padded = np.pad(source, [(0, 0), (padding[0], padding[0]), (padding[-1], padding[-1])])
        rows = row * stride[0] + np.arange(kernel.shape[1]) * dilation[0]
        columns = column * stride[-1] + np.arange(kernel.shape[2]) * dilation[-1]
        patch = padded[:, rows[:, None], columns]
        return self._sum("convolution", patch, kernel, layer.bias, channel) | {
            "first_channel": first,
            "rows": (rows - padding[0]).tolist(),
            "columns": (columns - padding[-1]).tolist(),
        }

    def _product(self, operation: Operation) -> dict[str, Any] | None:
        """A row of a matrix product; the weight of a linear layer comes transposed."""
        kind, given = operation.kind, arguments_of(operation)
        if kind not in ("addmm", "mm"):
            return {"kind": "other", "name": kind}
        bias, x = (given["self"], given["mat1"]) if kind == "addmm" else (None, given["self"])
        weight = given["mat2"]
        unit = self._here[0]
        patch = self._values[x.tensor][0].double().numpy()
        kernel = self._values[weight.tensor][:, unit].double().numpy()
        found = self._sum("linear", patch[:, None, None], kernel[:, None, None], bias and bias.tensor, unit)
        return found | {"flattened": self._flattened(x.tensor)}

    def _flattened(self, tensor: int) -> list[int] | None:
        """The shape (C, H, W) that the input of a fully connected layer had before it was laid out in a row."""
        producer = self.graph.tensors[tensor].producer
        while producer is not None and family(self.graph.operations[producer]) in ("view", "copy"):
            tensor = self.graph.operations[producer].inputs[0]
            producer = self.graph.tensors[tensor].producer
        shape = self.graph.tensors[tensor].shape[1:]
        return list(shape) if len(shape) == 3 else None

    def _sum(self, kind: str, patch: Any, kernel: Any, bias: int | None, unit: int) -> dict[str, Any]:
        products = patch * kernel
        offset = 0.0 if bias is None else float(self._values[bias][unit].double())
        return {
            "kind": kind,
            "patch": _rounded(patch),
            "kernel": _rounded(kernel),
            "parts": _rounded(products.sum(axis=(1, 2))),
            "sum": float(products.sum()),  # not that of the rounded parts
            "bias": None if bias is None else offset,
            "result": float(products.sum()) + offset,
            "scale": float(np.abs(products).sum()) + abs(offset),
            "terms": int(products.size),
        }

    def _norm(self, operation: Operation, norm: Norm) -> dict[str, Any]:
        epsilon = norm.epsilon or 0.0
        channel = self._here[0]
        numbers = {
            name: standard if each is None else float(self._values[each][channel].double())
            for name, each, standard in (
                ("gamma", norm.weight, 1.0),
                ("beta", norm.bias, 0.0),
                ("mean", norm.mean, 0.0),
                ("variance", norm.variance, 1.0),
            )
        }
        before = self._came_in(operation)
        factor = numbers["gamma"] / np.sqrt(numbers["variance"] + epsilon)
        result = (before - numbers["mean"]) * factor + numbers["beta"]
        scale = (abs(before) + abs(numbers["mean"])) * abs(factor) + abs(numbers["beta"])
        return {
            "kind": "norm",
            **numbers,
            "epsilon": epsilon,
            "input": before,
            "result": float(result),
            "scale": float(scale),
            "terms": 4,
        }

    def _activation(self, operation: Operation, kind: str) -> dict[str, Any]:
        before = self._came_in(operation)
        single = torch.tensor([before], dtype=torch.float64)
        arguments = [single if isinstance(each, Ref) else each for each in operation.arguments]
        result = float(operation.operator(*arguments)[0])
        return {
            "kind": "activation",
            "name": SHORT.get(kind, kind),
            "input": before,
            "result": result,
            "scale": abs(before) + abs(result),
            "terms": 4,
        }

    def _pair(self, operation: Operation, kind: str) -> dict[str, Any] | None:
        terms = []
        for index in operation.inputs:
            value = self._values[index]
            if value.ndim != len(self._here) + 1:
                return {"kind": "other", "name": kind}
            place = tuple(min(p, side - 1) for p, side in zip(self._here, value.shape[1:], strict=True))
            terms.append(self._at(index, place))
        result = terms[0] + terms[1] if kind == "add" else terms[0] * terms[1]
        return {
            "kind": kind,
            "inputs": terms,
            "result": result,
            "scale": sum(map(abs, terms)) + abs(result),
            "terms": 2,
        }

    def _pool(self, pool: Pool) -> dict[str, Any]:
        kernel, stride, padding, how = pool.kernel_size, pool.stride, pool.padding, pool.how
        channel, row, column = self._here
        plane = self._values[pool.input][0, channel].double().numpy()
        rows = _under(row, stride[0], padding[0], kernel[0], plane.shape[0])
        columns = _under(column, stride[-1], padding[-1], kernel[-1], plane.shape[1])
        patch = plane[np.ix_(rows, columns)]
        if how == "average" and patch.size != kernel[0] * kernel[-1]:
            return {"kind": "other", "name": "average pool at the border"}
        return {
            "kind": "pool",
            "how": how,
            "patch": _rounded(patch[None]),
            "result": float(patch.max() if how == "max" else patch.mean()),
            "scale": float(np.abs(patch).max()),
            "terms": patch.size,
        }

    def _global_pool(self, operation: Operation) -> dict[str, Any]:
        source = self._values[operation.inputs[0]][0].double().numpy()
        if source.ndim != 3 or np.prod(self._values[operation.outputs[0]].shape) != source.shape[0]:
            return {"kind": "other", "name": operation.kind}
        plane = source[self._here[0]]
        scale = float(np.abs(plane).mean())
        return {"kind": "mean", "count": plane.size, "result": float(plane.mean()), "scale": scale, "terms": plane.size}

    def _came_in(self, operation: Operation) -> float:
        """What the operation before gave here; at the first one, what the tensor holds."""
        return self._at(operation.inputs[0], self._here) if self._before is None else self._before


def share_of(look: Look, place: str, channel: int, source: int) -> dict[str, Any]:
    """One input channel's plane and what one filter makes of it.

    Raises:
        ConvlensError: the layer is not a convolution, or has no such channels.
    """
    graph = look.patient.sheet.graph
    node = look.patient.node(place)
    layers = (Convolution.of(graph.operations[index]) for index in node.operations)
    layer = next((each for each in layers if each is not None), None)
    if layer is None or layer.transposed:
        raise ConvlensError(f"layer {place} is not a convolution, so no input channel has a share of its own")
    values = look.tensors({layer.input, layer.weight})
    kernels = values[layer.weight]
    if not 0 <= channel < len(kernels) or not 0 <= source < kernels.shape[1]:
        raise ConvlensError(
            f"channel {channel} or input channel {source} is not there; layer {place} has {len(kernels)} channels, "
            f"each reading {kernels.shape[1]}"
        )
    first = channel // (len(kernels) // layer.groups) * kernels.shape[1]
    plane = values[layer.input][0, first + source].double().numpy()
    sides = ((layer.padding[0], layer.padding[0]), (layer.padding[-1], layer.padding[-1]))
    share = arithmetic.conv2d(
        plane,
        kernels[channel, source].double().numpy(),
        stride=(layer.stride[0], layer.stride[-1]),
        padding=sides,
        dilation=(layer.dilation[0], layer.dilation[-1]),
    )
    return {"input": plane, "share": share}


def described(unit: Unit) -> dict[str, Any]:
    """The stages, the number, what they give again, and how far apart rounding may put the two."""
    stages = unit.stages()
    value = unit.value()
    again = stages[-1]["result"] if stages else value
    # every float32 operation rounds to half a step of what it adds up; sums may take their terms in any order
    rounding = sum(stage["scale"] * math.sqrt(stage["terms"]) for stage in stages)
    allowed = EPSILON * rounding * _steepness(stages)
    return {
        "stages": stages,
        "value": value,
        "again": again,
        "difference": abs(value - again),
        "allowed": allowed,
        "position": list(unit.position),
        "shape": list(unit.node.shape),
    }


def _steepness(stages: list[dict[str, Any]]) -> float:
    """By how much a later stage can enlarge an earlier one's rounding."""
    norms = [abs(s["gamma"]) / math.sqrt(s["variance"] + s["epsilon"]) for s in stages if s["kind"] == "norm"]
    return 2.0 * float(max([1.0, *norms]))


def _checked(position: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    place = position[: len(shape)]
    for name, index, side in zip(("channel", "row", "column"), place, shape, strict=False):
        if not 0 <= index < side:
            shown = "×".join(map(str, shape))
            raise ConvlensError(f"{name} {index} is outside the layer's {shown}; use 0 to {side - 1}")
    return place


def _under(index: int, stride: int, padding: int, kernel: int, size: int) -> list[int]:
    """The cells of an axis that a window covers, those in the padding left out."""
    first = index * stride - padding
    return [cell for cell in range(first, first + kernel) if 0 <= cell < size]


def _rounded(values: Any) -> Any:
    """Seven digits are all that float32 has."""
    if np.ndim(values) == 0:
        return float(f"{values:.7g}")
    return [_rounded(each) for each in values]
