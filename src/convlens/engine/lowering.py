"""From a graph to layers: each operation becomes a layer of the kernels, a rearrangement, or a known tensor."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convlens.engine.arrangement import Arrangement, NotAnArrangementError
from convlens.engine.draft import Draft, Float, Layer, UnknownOperatorError
from convlens.engine.patterns import LocalResponse, Pattern, find_patterns
from convlens.graph import Graph, Operation, Ref
from convlens.graph.nests import changed
from convlens.graph.operators import AdaptivePool, Convolution, Norm, Pool, arguments_of, family, plain

BATCH = 2  # a graph is recorded for two images, so that the axis of images is no other one of length 1

# one operand, element by element -> the kernels' activation
ACTIVATIONS = {
    "relu": "relu",
    "relu6": "relu6",
    "silu": "silu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "hardswish": "hard_swish",
    "hardsigmoid": "hard_sigmoid",
}
_SAME = ("clone", "contiguous", "alias", "detach", "lift_fresh", "dropout", "native_dropout", "_to_copy", "copy")


def lower(graph: Graph) -> Draft:
    """Make layers of a graph that was recorded in evaluation mode with `BATCH` images.

    Raises:
        UnknownOperatorError: an operation that the engine does not know, or knows only in another form.
    """
    return _Lowering(graph).run()


class _Lowering:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.draft = Draft()
        self.known: dict[int, Any] = {each.index: each.value for each in graph.tensors if each.value is not None}
        self.arranged: dict[tuple[tuple[int, tuple[int, ...]], ...], int] = {}
        self.operation: Operation | None = None
        self.patterns = {each.operations[-1]: each for each in find_patterns(graph)}
        self.inside = {index for each in self.patterns.values() for index in each.operations[:-1]}

    def run(self) -> Draft:
        if len(self.graph.inputs) != 1 or len(self.graph.tensors[self.graph.inputs[0]].shape) != 4:
            raise UnknownOperatorError("the engine runs networks of one input (N, C, H, W); use another runtime")
        first = self.graph.inputs[0]
        _, channels, height, width = self.graph.tensors[first].shape
        self.draft.input = self.draft.value(channels, height, width)
        self.known[first] = Arrangement.of(self.draft.input, channels, BATCH, height, width)
        for operation in self.graph.operations:
            self._lower(operation)
        self.draft.outputs = tuple(self._value(self.known[index]) for index in self.graph.outputs)
        self.draft.drop_unused()
        return self.draft

    # Operations

    def _lower(self, operation: Operation) -> None:
        self.operation = operation
        if operation.index in self.inside or all(index in self.known for index in operation.outputs):
            return
        try:
            pattern = self.patterns.get(operation.index)
            results = self._results(operation) if pattern is None else [self._pattern(pattern)]
        except (NotAnArrangementError, KeyError, AttributeError, TypeError, IndexError):
            raise self._unknown() from None
        for index, result in zip(operation.outputs, results, strict=False):
            shape = self.graph.tensors[index].shape
            if isinstance(result, Arrangement) and result.shape != shape:
                raise self._unknown()
            self.known[index] = result
        # what was written in place is known under its new numbers; another view of the same bytes is not followed
        for _, after in operation.writes:
            if after not in operation.outputs:
                if self.graph.tensors[after].shape != self.graph.tensors[operation.outputs[0]].shape:
                    raise self._unknown()
                self.known[after] = self.known[operation.outputs[0]]

    def _results(self, operation: Operation) -> Sequence[Any]:
        given = arguments_of(operation)
        if not any(isinstance(self.known.get(index), Arrangement) for index in operation.inputs):
            return self._folded(operation)
        kind = plain(operation.kind)
        if convolution := Convolution.of(operation):
            return [self._convolution(convolution)]
        if norm := Norm.of(operation):
            return [self._norm(norm)]
        if pool := Pool.of(operation):
            return [self._pool(pool)]
        if adaptive := AdaptivePool.of(operation):
            return [self._adaptive(adaptive)]
        if kind in _SAME and not (kind == "_to_copy" and given.get("dtype") not in (None, torch.float32)):
            return [self._tensor(given.get("self", given.get("input", given.get("src"))))]
        if kind in ACTIVATIONS:
            return [self._unary(self._tensor(given["self"]), ACTIVATIONS[kind])]
        handler: Callable[[Mapping[str, Any]], Any] | None = getattr(self, f"_{kind.strip('_')}", None)
        if handler is None:
            raise self._unknown()
        result = handler(given)
        return result if isinstance(result, list) else [result]

    def _folded(self, operation: Operation) -> Sequence[Any]:
        """What depends on no image is computed once, now."""
        real = changed((operation.arguments, operation.keywords), Ref, lambda ref: self.known[ref.tensor])
        with torch.no_grad():
            result = operation.operator(*real[0], **real[1])
        return list(result) if isinstance(result, tuple | list) else [result]

    def _pattern(self, pattern: Pattern) -> Arrangement:
        if isinstance(pattern, LocalResponse):
            settings = {"size": pattern.size, "alpha": pattern.alpha, "beta": pattern.beta, "k": pattern.k}
            return self._layer("local_response_norm", self._map(self.known[pattern.input]), settings, {})
        # Σ(x − c)² = Σx² − 2 c·x + Σc²
        x, points = self._map(self.known[pattern.input]), self._wide(pattern.points)
        count = points.shape[0]
        weights = _weights(self._array(-2 * points), self._array((points**2).sum(1)))
        crossed = self._made("linear", x, {}, weights, (count, 1, 1))
        squares = self._made("binary", x, {"kind": "multiply"}, {}, other=x)
        ones = {"weight": np.ones((count, points.shape[1]), np.float32)}
        total = self._made("linear", squares.parts[0], {}, ones, (count, 1, 1))
        made = self._made("binary", crossed.parts[0], {"kind": "add"}, {}, other=total.parts[0])
        return made.reshaped(self._out_shape())

    # Layers with weights

    def _convolution(self, given: Convolution) -> Arrangement:
        if given.transposed or len(given.stride) != 2:
            raise self._unknown()
        x = self._map(self.known[given.input])
        weight = self._array(self.known[given.weight])
        bias = None if given.bias is None else self._array(self.known[given.bias])
        vertical, horizontal = given.padding
        settings = {
            "kernel": list(weight.shape[2:]),
            "stride": list(given.stride),
            "padding": [vertical, vertical, horizontal, horizontal],
            "dilation": list(given.dilation),
            "groups": given.groups,
        }
        return self._layer("convolution", x, settings, _weights(weight, bias))

    def _addmm(self, given: Mapping[str, Any]) -> Arrangement:
        if given["beta"] != 1 or given["alpha"] != 1:
            raise self._unknown()
        return self._product(self._tensor(given["mat1"]), self._read(given["mat2"]), self._read(given["self"]))

    def _mm(self, given: Mapping[str, Any]) -> Arrangement:
        return self._product(self._tensor(given["self"]), self._read(given["mat2"]), None)

    def _linear(self, given: Mapping[str, Any]) -> Arrangement:
        bias = None if given["bias"] is None else self._read(given["bias"])
        return self._product(self._tensor(given["input"]), self._read(given["weight"]).t(), bias)

    def _product(self, x: Arrangement, weight_IO: Tensor, bias: Tensor | None) -> Arrangement:
        """A matrix of weights times vectors, flattened maps, or the channels of every pixel."""
        weight = self._array(weight_IO.t())
        weights = _weights(weight, None if bias is None else self._array(bias))
        shape = self._out_shape()
        if x.is_flat:
            value = self._settle(x)
            return self._made("linear", value, {}, weights, (weight.shape[0], 1, 1)).reshaped(shape)
        if not x.has_channels_last:
            raise self._unknown()
        value = self._settle(x)
        weights["weight"] = weight[:, :, None, None]
        settings = {"kernel": [1, 1], "stride": [1, 1], "padding": [0, 0, 0, 0], "dilation": [1, 1], "groups": 1}
        made = self._layer("convolution", value, settings, weights, channels=weight.shape[0])
        return _last(made).reshaped(shape)

    def _norm(self, given: Norm) -> Arrangement:
        x = self._tensor(Ref(given.input))
        if given.how == "batch" and not given.computes and given.mean is not None and given.variance is not None:
            mean, variance = self._wide(given.mean), self._wide(given.variance)
            scale = 1 / torch.sqrt(variance + (given.epsilon or 0))
            if given.weight is not None:
                scale = scale * self._wide(given.weight)
            shift = -mean * scale
            if given.bias is not None:
                shift = shift + self._wide(given.bias)
            return self._scaled(x, self._array(scale), self._array(shift))
        if given.how == "layer" and given.axes == 1 and x.has_channels_last:
            count = x.channels.size
            weight = np.ones(count, np.float32) if given.weight is None else self._array(self.known[given.weight])
            bias = np.zeros(count, np.float32) if given.bias is None else self._array(self.known[given.bias])
            made = self._made(
                "layer_norm", self._settle(x), {"epsilon": float(given.epsilon or 0)}, _weights(weight, bias)
            )
            return x.on(made.parts[0])
        raise self._unknown()

    def _scaled(self, x: Arrangement, scale: Float, shift: Float) -> Arrangement:
        """Each channel of the settled arrangement times a number plus a number."""
        value = self._settle(x)
        return x.on(self._made("scale_shift", value, {}, _weights(scale, shift)).parts[0])

    # Pooling

    def _pool(self, given: Pool) -> Arrangement:
        if len(given.kernel_size) == 3:
            raise self._unknown()
        x = self._map(self.known[given.input])
        vertical, horizontal = given.padding
        settings: dict[str, Any] = {
            "kind": given.how,
            "kernel": list(given.kernel_size),
            "stride": list(given.stride),
            "padding": [vertical, vertical, horizontal, horizontal],
            "dilation": list(given.dilation),
        }
        if given.how == "average":
            settings["count_include_pad"] = given.count_include_pad
            if given.divisor is not None:
                settings["divisor"] = given.divisor
        return self._layer("pool", x, settings, {})

    def _adaptive(self, given: AdaptivePool) -> Arrangement:
        return self._layer("adaptive_pool", self._map(self.known[given.input]), {"kind": given.how}, {})

    def _mean(self, given: Mapping[str, Any]) -> Arrangement:
        return self._over_places(given, "average")

    def _amax(self, given: Mapping[str, Any]) -> Arrangement:
        return self._over_places(given, "max")

    def _sum(self, given: Mapping[str, Any]) -> Arrangement:
        """Over all places, or over one axis of channels, such as ResNeSt's branches."""
        x, axes = self._reduced(given)
        if self._are_places(x, axes):
            mean = self._over_places(given, "average")
            places = np.full(mean.channels.size, x.sizes[1] * x.sizes[2], np.float32)
            return self._scaled(mean, places, np.zeros_like(places))
        if len(axes) != 1 or any(isinstance(label, str) for label in x.axes[axes[0]]):
            raise self._unknown()
        first, *others = (x.taken(axes[0], slice(i, i + 1)) for i in range(x.shape[axes[0]]))
        for other in others:
            first = self._binary("add", first, other)
        return first.reshaped(self._out_shape())

    def _reduced(self, given: Mapping[str, Any]) -> tuple[Arrangement, list[int]]:
        x = self._tensor(given["self"])
        return x, sorted(axis % len(x.axes) for axis in given.get("dim") or [])

    def _are_places(self, x: Arrangement, axes: Sequence[int]) -> bool:
        """Whether these axes are every row and every column, where there are several."""
        places = [label for label, size in zip("hw", x.sizes[1:], strict=True) if size > 1]
        return [label for axis in axes for label in x.long(x.axes[axis])] == places

    def _over_places(self, given: Mapping[str, Any], how: str) -> Arrangement:
        """Every row and every column at once."""
        x, axes = self._reduced(given)
        if not self._are_places(x, axes):
            raise self._unknown()
        value = self._settle(x)
        made = self._made("adaptive_pool", value, {"kind": how}, {}, (self._channels(value), 1, 1))
        return made.reshaped(self._out_shape())

    # Element by element

    def _unary(self, x: Arrangement, activation: str, slope: float | None = None) -> Arrangement:
        settings: dict[str, Any] = {"activation": activation} | ({} if slope is None else {"slope": slope})
        if x.whole(self._counts()):
            return x.placed(self._made("unary", x.parts[0], settings, {}).parts[0])
        return x.on(self._made("unary", self._settle(x), settings, {}).parts[0])

    def _gelu(self, given: Mapping[str, Any]) -> Arrangement:
        return self._unary(self._tensor(given["self"]), "gelu_tanh" if given["approximate"] == "tanh" else "gelu")

    def _leaky_relu(self, given: Mapping[str, Any]) -> Arrangement:
        return self._unary(self._tensor(given["self"]), "leaky_relu", float(given["negative_slope"]))

    def _hardtanh(self, given: Mapping[str, Any]) -> Arrangement:
        if (given["min_val"], given["max_val"]) != (0, 6):
            raise self._unknown()
        return self._unary(self._tensor(given["self"]), "relu6")

    def _clamp(self, given: Mapping[str, Any]) -> Arrangement:
        limits = given["min"], given["max"]
        if limits == (0, 6):
            return self._unary(self._tensor(given["self"]), "relu6")
        if limits == (0, None):
            return self._unary(self._tensor(given["self"]), "relu")
        raise self._unknown()

    def _prelu_kernel(self, given: Mapping[str, Any]) -> Arrangement:
        x, weight = self._map(self._tensor(given["self"])), self._array(self._read(given["weight"])).reshape(-1)
        return self._layer("prelu", x, {}, {"weight": weight})

    def _neg(self, given: Mapping[str, Any]) -> Arrangement:
        x = self._tensor(given["self"])
        count = x.channels.size
        return self._scaled(x, -np.ones(count, np.float32), np.zeros(count, np.float32))

    def _softmax(self, given: Mapping[str, Any]) -> Arrangement:
        x = self._tensor(given["self"])
        axis = given["dim"] % len(x.axes)
        if x.is_map and axis == 1:
            return x.on(self._made("softmax", self._settle(x), {}, {}).parts[0])
        if x.shape[axis] != 2 or any(isinstance(label, str) for label in x.axes[axis]):
            raise self._unknown()
        # of two numbers each: the sigmoid of their difference, either way round
        one, two = x.taken(axis, slice(0, 1)), x.taken(axis, slice(1, 2))
        first, second = (self._unary(self._binary("subtract", *pair), "sigmoid") for pair in ((one, two), (two, one)))
        return first.joined([second], axis, self._counts())

    def _add(self, given: Mapping[str, Any]) -> Arrangement:
        return self._added(given, 1)

    def _sub(self, given: Mapping[str, Any]) -> Arrangement:
        return self._added(given, -1)

    def _added(self, given: Mapping[str, Any], sign: int) -> Arrangement:
        first, second = self._operand(given["self"]), self._operand(given["other"])
        factor = sign * float(given.get("alpha", 1))
        if isinstance(first, Arrangement) and isinstance(second, Arrangement):
            if factor not in (1, -1):
                raise self._unknown()
            return self._binary("add" if factor == 1 else "subtract", first, second)
        if isinstance(first, Arrangement):
            return self._with_constant(first, shift=second * factor)
        return self._with_constant(second, scale=torch.tensor(factor), shift=first)

    def _mul(self, given: Mapping[str, Any]) -> Arrangement:
        first, second = self._operand(given["self"]), self._operand(given["other"])
        if isinstance(first, Arrangement) and isinstance(second, Arrangement):
            return self._binary("multiply", first, second)
        x, constant = (first, second) if isinstance(first, Arrangement) else (second, first)
        return self._with_constant(x, scale=constant)

    def _div(self, given: Mapping[str, Any]) -> Arrangement:
        first, second = self._operand(given["self"]), self._operand(given["other"])
        if isinstance(second, Arrangement) or given.get("rounding_mode"):
            raise self._unknown()
        return self._with_constant(first, scale=1 / second)

    def _with_constant(
        self, x: Arrangement, *, scale: Tensor | None = None, shift: Tensor | None = None
    ) -> Arrangement:
        """Times and plus tensors that differ from channel to channel at most."""
        count = x.channels.size
        times = np.ones(count, np.float32) if scale is None else self._per_channel(x, scale)
        plus = np.zeros(count, np.float32) if shift is None else self._per_channel(x, shift)
        return self._scaled(x, times, plus)

    def _per_channel(self, x: Arrangement, constant: Tensor) -> Float:
        """A tensor that is broadcast to an arrangement, as a number for each of its channels."""
        if len(x.shape) < constant.dim():
            raise self._unknown()
        shape = (1,) * (len(x.shape) - constant.dim()) + tuple(constant.shape)
        dims: list[int] = []
        for axis, size in zip(x.axes, shape, strict=True):
            lengths = [x.index.shape[label] for label in axis if isinstance(label, int)]
            if size == 1:
                dims += [1] * len(lengths)
            elif any(isinstance(label, str) for label in axis):
                raise self._unknown()
            else:
                dims += lengths
        array = self._array(constant).reshape(dims or (1,))
        return np.ascontiguousarray(np.broadcast_to(array, x.index.shape), np.float32).reshape(-1)

    def _binary(self, kind: str, first: Arrangement, second: Arrangement) -> Arrangement:
        if len(second.shape) > len(first.shape) or np.prod(second.shape) > np.prod(first.shape):
            if kind == "subtract":
                raise self._unknown()
            first, second = second, first
        if first.shape == second.shape:
            if first.axes != second.axes:
                second = self._like(second, first)
            aligned = (
                first.whole(self._counts())
                and second.whole(self._counts())
                and np.array_equal(first.index, second.index)
            )
            if aligned:
                made = self._made("binary", first.parts[0], {"kind": kind}, {}, other=second.parts[0])
                return first.placed(made.parts[0])
            made = self._made("binary", self._settle(first), {"kind": kind}, {}, other=self._settle(second))
            return first.on(made.parts[0])
        other = self._broadcast(second, first)
        made = self._made("binary", self._settle(first), {"kind": kind}, {}, other=other)
        return first.on(made.parts[0])

    def _like(self, x: Arrangement, other: Arrangement) -> Arrangement:
        """The same tensor with its channels on axes like those of another of its shape."""
        moved = x.reshaped(x.shape)
        if moved.axes != other.axes:
            raise self._unknown()
        return moved

    def _broadcast(self, small: Arrangement, large: Arrangement) -> int:
        """A vector for each channel of `large`, or a map of one channel."""
        if small.sizes[1:] == large.sizes[1:] and small.channels.size == 1 and large.is_map:
            return self._settle(small)
        if small.sizes[1:] != (1, 1):
            raise self._unknown()
        missing = len(large.axes) - len(small.axes)
        axes = ((),) * missing + small.axes
        dims: list[int] = []
        for wide, narrow in zip(large.axes, axes, strict=True):
            lengths = [large.index.shape[label] for label in wide if isinstance(label, int)]
            size = int(np.prod([small.index.shape[label] for label in narrow if isinstance(label, int)], dtype=int))
            dims += lengths if size > 1 and size == np.prod(lengths) else [1] * len(lengths)
        index = np.broadcast_to(small.index.reshape(dims or (1,)), large.index.shape)
        wide_vector = Arrangement(small.parts, small.starts, index.reshape(-1), (("n",), (0,)), small.sizes)
        return self._settle(wide_vector)

    # Rearrangements

    def _view(self, given: Mapping[str, Any]) -> Arrangement:
        return self._tensor(given["self"]).reshaped(self._out_shape())

    _unsafe_view = _reshape = _flatten = _squeeze = _unsqueeze = _reshape_alias = _view

    def _permute(self, given: Mapping[str, Any]) -> Arrangement:
        return self._tensor(given["self"]).permuted(given["dims"])

    def _as_strided(self, given: Mapping[str, Any]) -> Arrangement:
        """What PyTorch does with a mean of channels-last maps: another order of axes of length 1."""
        x = self._tensor(given["self"])
        same = tuple(given["size"]) == x.shape and len(x.shape) == 4 and x.shape[2:] == (1, 1)
        if not same or tuple(given["stride"][:2]) != (x.shape[1], 1) or given.get("storage_offset"):
            raise self._unknown()
        return x

    def _transpose(self, given: Mapping[str, Any]) -> Arrangement:
        x = self._tensor(given["self"])
        order = list(range(len(x.axes)))
        one, two = given["dim0"] % len(order), given["dim1"] % len(order)
        order[one], order[two] = order[two], order[one]
        return x.permuted(order)

    def _t(self, given: Mapping[str, Any]) -> Arrangement:
        return self._tensor(given["self"]).permuted((1, 0))

    def _expand(self, given: Mapping[str, Any]) -> Arrangement:
        x = self._tensor(given["self"])
        if x.shape != self._out_shape():
            raise self._unknown()
        return x

    def _slice(self, given: Mapping[str, Any]) -> Arrangement:
        x, axis = self._tensor(given["self"]), given["dim"]
        length = x.shape[axis]
        chosen = slice(*slice(given["start"], given["end"], given["step"]).indices(length))
        if chosen == slice(0, length, 1):
            return x
        labels = x.axes[axis % len(x.axes)]
        if labels in (("h",), ("w",)) and x.is_map and chosen.start == 0:
            return self._thinned(x, str(labels[0]), chosen.step, length, chosen.stop)
        return x.taken(axis, chosen)

    def _thinned(self, x: Arrangement, label: str, step: int, length: int, stop: int) -> Arrangement:
        """Every step-th row or column: a pooling whose windows are single places."""
        if stop != length and step != 1:
            raise self._unknown()
        stride = [step, 1] if label == "h" else [1, step]
        padding = [0, stop - length, 0, 0] if label == "h" else [0, 0, 0, stop - length]
        if step == 1:
            return self._layer("pad", self._settle(x), {"padding": padding, "value": 0.0}, {})
        settings = {"kind": "max", "kernel": [1, 1], "stride": stride, "padding": [0] * 4, "dilation": [1, 1]}
        return self._layer("pool", self._settle(x), settings, {})

    def _select(self, given: Mapping[str, Any]) -> Arrangement:
        taken = self._tensor(given["self"]).taken(given["dim"], np.array([given["index"]]))
        return taken.reshaped(self._out_shape())

    def _index(self, given: Mapping[str, Any]) -> Arrangement:
        """Channels by constant numbers."""
        places = [(axis, self._read(each)) for axis, each in enumerate(given["indices"]) if each is not None]
        ((axis, which),) = places
        return self._tensor(given["self"]).taken(axis, which.numpy())

    def _index_select(self, given: Mapping[str, Any]) -> Arrangement:
        return self._tensor(given["self"]).taken(given["dim"], self._read(given["index"]).numpy())

    def _split(self, given: Mapping[str, Any]) -> list[Arrangement]:
        length = self._tensor(given["self"]).shape[given["dim"]]
        size = given["split_size"]
        return self._cut(given, [min(size, length - begin) for begin in range(0, length, size)])

    def _split_with_sizes(self, given: Mapping[str, Any]) -> list[Arrangement]:
        return self._cut(given, given["split_sizes"])

    def _chunk(self, given: Mapping[str, Any]) -> list[Arrangement]:
        length = self._tensor(given["self"]).shape[given["dim"]]
        size = -(-length // given["chunks"])
        return self._cut(given, [min(size, length - begin) for begin in range(0, length, size)])

    def _cut(self, given: Mapping[str, Any], sizes: Sequence[int]) -> list[Arrangement]:
        x, begin, parts = self._tensor(given["self"]), 0, []
        for size in sizes:
            parts.append(x.taken(given["dim"], slice(begin, begin + size)))
            begin += size
        return parts

    def _unbind(self, given: Mapping[str, Any]) -> list[Arrangement]:
        x, assert_shape = self._tensor(given["self"]), self._out_shape()
        cut = [x.taken(given["dim"], np.array([place])) for place in range(x.shape[given["dim"]])]
        return [each.reshaped(assert_shape) for each in cut]

    def _cat(self, given: Mapping[str, Any]) -> Arrangement:
        first, *others = [self._tensor(each) for each in given["tensors"]]
        return first.joined(others, given["dim"], self._counts())

    def _constant_pad_nd(self, given: Mapping[str, Any]) -> Arrangement:
        x, pad = self._map(self._tensor(given["self"])), list(given["pad"])
        pad += [0] * (6 - len(pad))
        left, right, top, bottom, before, after = pad[:6]
        if (before or after) and given["value"] == 0 and not any(pad[:4]):
            return self._widened(x, before, after)
        if before or after or any(pad[6:]):
            raise self._unknown()
        settings = {"padding": [top, bottom, left, right], "value": float(given["value"])}
        return self._layer("pad", x, settings, {})

    def _widened(self, x: int, before: int, after: int) -> Arrangement:
        """Channels of zeros before and after: a 1×1 convolution that picks each channel."""
        count = self._channels(x)
        weight = np.zeros((before + count + after, count, 1, 1), np.float32)
        weight[np.arange(before, before + count), np.arange(count)] = 1
        settings = {"kernel": [1, 1], "stride": [1, 1], "padding": [0, 0, 0, 0], "dilation": [1, 1], "groups": 1}
        return self._layer("convolution", x, settings, {"weight": weight})

    def _channel_shuffle(self, given: Mapping[str, Any]) -> Arrangement:
        x = self._tensor(given["self"])
        groups = given["groups"]
        order = np.arange(x.shape[1]).reshape(groups, -1).T.reshape(-1)
        return x.taken(1, order)

    def _upsample_nearest2d(self, given: Mapping[str, Any]) -> Arrangement:
        x = self._map(self._tensor(given["self"]))
        _, _, height, width = self._out_shape()
        value = self.draft.values[x]
        if height % value.height or width % value.width:
            raise self._unknown()
        return self._layer("upsample", x, {}, {})

    # Helps

    def _layer(
        self, op: str, x: int, settings: dict[str, Any], weights: dict[str, Float], channels: int | None = None
    ) -> Arrangement:
        """A layer whose result is the map that torch made."""
        shape = self._out_shape()
        height, width = (self.draft.values[x].height, self.draft.values[x].width) if channels else shape[2:]
        return self._made(op, x, settings, weights, (channels or shape[1], height, width))

    def _made(
        self,
        op: str,
        x: int,
        settings: dict[str, Any],
        weights: dict[str, Float],
        shape: tuple[int, int, int] | None = None,
        **others: int,
    ) -> Arrangement:
        """A layer, and its result as (N, C, H, W); of the shape of `x` if none is given."""
        assert self.operation is not None
        source = self.draft.values[x]
        channels, height, width = shape or (source.channels, source.height, source.width)
        y = self.draft.value(channels, height, width)
        names = (self.operation.name,)
        values = {"x": x, "y": y, **others}
        self.draft.layers.append(Layer(op=op, values=values, settings=settings, weights=weights, names=names))
        return Arrangement.of(y, channels, BATCH, height, width)

    def _read(self, given: Any) -> Any:
        return self.known[given.tensor] if isinstance(given, Ref) else given

    def _tensor(self, given: Any) -> Arrangement:
        """What a reference names, if it depends on the images."""
        found = self._read(given)
        if not isinstance(found, Arrangement):
            raise self._unknown()
        return found

    def _operand(self, given: Any) -> Any:
        found = self._read(given)
        return found if isinstance(found, Arrangement) else torch.as_tensor(found, dtype=torch.float64)

    def _wide(self, index: int) -> Tensor:
        """A known tensor in float64, so that what is folded into it is rounded once."""
        tensor: Tensor = self.known[index]
        return tensor.detach().double()

    def _array(self, tensor: Tensor) -> Float:
        return np.ascontiguousarray(tensor.detach().cpu().numpy(), np.float32)

    def _map(self, x: Any) -> int:
        """The value of an arrangement that is laid out as a map."""
        if not isinstance(x, Arrangement) or not x.is_map:
            raise self._unknown()
        return self._settle(x)

    def _value(self, x: Any) -> int:
        if not isinstance(x, Arrangement) or not (x.is_map or (x.has_channels_last and x.sizes[1:] == (1, 1))):
            raise UnknownOperatorError("the engine gives maps (N, C, H, W) and vectors (N, C); use another runtime")
        return self._settle(x)

    def _settle(self, x: Arrangement) -> int:
        """The value that holds an arrangement's channels in order; a layer that puts them together if there is none."""
        pieces = x.pieces()
        if len(pieces) == 1:
            value, channels = pieces[0]
            if channels == list(range(self._channels(value))):
                return value
        key = tuple((value, tuple(channels)) for value, channels in pieces)
        if key in self.arranged:
            return self.arranged[key]
        source = self.draft.values[pieces[0][0]]
        made = self._made(
            "arrange",
            pieces[0][0],
            {"parts": [value for value, _ in pieces], "channels": [channels for _, channels in pieces]},
            {},
            (x.channels.size, source.height, source.width),
        )
        self.arranged[key] = made.parts[0]
        return made.parts[0]

    def _channels(self, value: int) -> int:
        return self.draft.values[value].channels

    def _counts(self) -> list[int]:
        return [value.channels for value in self.draft.values]

    def _out_shape(self) -> tuple[int, ...]:
        assert self.operation is not None
        return self.graph.tensors[self.operation.outputs[0]].shape

    def _unknown(self) -> UnknownOperatorError:
        assert self.operation is not None
        operation = self.operation
        known = "in this form " if family(operation) or hasattr(self, f"_{plain(operation.kind).strip('_')}") else ""
        return UnknownOperatorError(
            f"the runtime engine cannot run {operation.target} {known}at {operation.name}; "
            "use openvino, onnxruntime or torch"
        )


def _weights(weight: Float, bias: Float | None) -> dict[str, Float]:
    return {"weight": weight} | ({} if bias is None else {"bias": bias})


def _last(x: Arrangement) -> Arrangement:
    return x.permuted((0, 2, 3, 1))
