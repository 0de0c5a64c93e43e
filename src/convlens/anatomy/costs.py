"""What one operation costs: a small table of formulas on shapes.

A MAC is one multiply-add of a convolution or a matrix product, as the papers count ("FLOPs" in ResNet and EfficientNet
are MACs); the taps that fall on padding are counted, as everybody does. A FLOP is one addition, multiplication,
division, comparison or elementary function on floating-point numbers; a MAC is two FLOPs. An operation without formula
costs `None`, never 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from convlens.graph import Graph, Operation, Ref, Tensor
from convlens.graph.operators import AdaptivePool, Norm, Pool, arguments_of, is_pointwise, kinds, plain


@dataclass(frozen=True)
class Cost:
    """MACs and FLOPs of one operation; None where there is no formula."""

    macs: int | None
    flops: int | None


UNKNOWN = Cost(None, None)
FREE = Cost(0, 0)


# Nothing is calculated: another view of the same bytes, or numbers moved, written or converted.
_NEAREST = frozenset(kind for kind in kinds("resize") if "nearest" in kind)
_FREE = kinds("view", "copy", "creation", "join", "arrangement", "pick") | _NEAREST | {"isnan"}


class Call:
    """An operation's tensors and arguments by name, for the formulas."""

    def __init__(self, graph: Graph, operation: Operation) -> None:
        self.operation = operation
        self.outputs = [graph.tensors[index] for index in operation.outputs]
        self.inputs = [graph.tensors[index] for index in operation.inputs]
        self.given = arguments_of(operation)
        self.graph = graph

    def tensor(self, name: str) -> Tensor:
        """The tensor given as the argument of that name."""
        ref = self.given.get(name)
        if not isinstance(ref, Ref):
            raise LookupError(f"argument {name!r} of {self.operation.name} is not a tensor")
        return self.graph.tensors[ref.tensor]

    def has(self, name: str) -> bool:
        """Whether the argument of that name is a tensor."""
        return isinstance(self.given.get(name), Ref)

    @property
    def output(self) -> Tensor:
        """The first output."""
        return self.outputs[0]


def cost(graph: Graph, operation: Operation) -> Cost:
    """MACs and FLOPs of one operation, `UNKNOWN` if there is no formula for its kind."""
    call = Call(graph, operation)
    if operation.target.startswith("aten.") and plain(operation.kind) in _FREE:
        return FREE
    if not any(tensor.dtype.is_floating_point or tensor.dtype.is_complex for tensor in [*call.inputs, *call.outputs]):
        return FREE  # arithmetic on indices: no floating-point number is touched
    formula = FORMULAS.get(plain(operation.kind)) if operation.target.startswith("aten.") else None
    if formula is not None:
        return formula(call)
    if is_pointwise(operation):
        return Cost(0, max(tensor.numel for tensor in call.outputs))
    return UNKNOWN


def _convolution(call: Call) -> Cost:
    """One MAC for each output element and each weight that reaches it: prod(output) × C_in/groups × prod(kernel)."""
    spread = call.tensor("input").numel if call.given["transposed"] else call.output.numel
    return _with_bias(call, spread * prod(call.tensor("weight").shape[1:]))


def _linear(call: Call) -> Cost:
    """prod(output) × in_features."""
    return _with_bias(call, call.output.numel * call.tensor("weight").shape[-1])


def _with_bias(call: Call, macs: int) -> Cost:
    return Cost(macs, 2 * macs + (call.output.numel if call.has("bias") else 0))


def _product(call: Call) -> Cost:
    """Matrix product: one MAC for each output element and each inner index; `addmm` and its like add a tensor."""
    left = next(name for name in ("mat1", "batch1", "mat", "self") if call.has(name))
    macs = call.output.numel * call.tensor(left).shape[-1]
    if plain(call.operation.kind) == "addbmm":
        macs *= call.tensor(left).shape[0]
    return Cost(macs, 2 * macs + (call.output.numel if left != "self" else 0))


def _attention(call: Call) -> Cost:
    """Two products, queries × keys and weights × values; scaling and softmax are 6 FLOPs for each weight."""
    query, key, value = call.tensor("query"), call.tensor("key"), call.tensor("value")
    weights = prod(query.shape[:-1]) * key.shape[-2]
    macs = weights * (query.shape[-1] + value.shape[-1])
    return Cost(macs, 2 * macs + 6 * weights)


def _norm(call: Call) -> Cost:
    """FLOPs an element: 2 with given statistics (scale and shift), 6 when a batch norm computes them (mean 1,
    variance 3), 8 for a layer or group norm, 4 for an RMS norm."""
    norm = Norm.of(call.operation)
    assert norm is not None
    each = {"batch": 6 if norm.computes else 2, "layer": 8, "group": 8, "rms": 4}[norm.how]
    return Cost(0, call.output.numel * each)


def _an_element(flops: int) -> Callable[[Call], Cost]:
    """A fixed number of FLOPs for each element of the first input."""
    return lambda call: Cost(0, flops * call.inputs[0].numel)


def _pool(call: Call) -> Cost:
    """Max: one comparison, average: one addition or division for each output element and window position."""
    pool = Pool.of(call.operation)
    assert pool is not None
    return Cost(0, call.output.numel * prod(pool.kernel_size))


def _fractional_pool(call: Call) -> Cost:
    """One comparison for each output element and window position."""
    return Cost(0, call.output.numel * prod(call.given["kernel_size"]))


def _adaptive_pool(call: Call) -> Cost:
    """One FLOP for each output element and position of its window, [⌊i·L/O⌋, ⌈(i+1)·L/O⌉)."""
    pool = AdaptivePool.of(call.operation)
    assert pool is not None
    given, made, axes = call.tensor("self").shape, call.output.shape, len(pool.output_size)
    total = prod(made[:-axes])
    for length, outputs in zip(given[-axes:], made[-axes:], strict=True):
        total *= sum(-(-(i + 1) * length // outputs) - i * length // outputs for i in range(outputs))
    return Cost(0, total)


def _recurrent(call: Call) -> Cost:
    """Steps × gates × hidden × (inputs + hidden) MACs; 4 gates for an LSTM, 3 for a GRU; 5 FLOPs a gate beside."""
    given, mode, hidden = call.tensor("input").shape, int(call.given["mode"]), int(call.given["hidden_size"])
    steps = prod(given[:-1])
    gates = {2: 4, 3: 3}.get(mode, 1) * hidden
    macs = steps * gates * (given[-1] + hidden)
    return Cost(macs, 2 * macs + 5 * steps * gates)


def _interpolation(taps: int) -> Callable[[Call], Cost]:
    """Weighted sum of `taps` neighbours: `2 · taps − 1` FLOPs for each output element."""
    return lambda call: Cost(0, (2 * taps - 1) * call.output.numel)


def _antialiased(reach: int) -> Callable[[Call], Cost]:
    """Weighted sums of `n` neighbours, `2n − 1` FLOPs each, along the columns and then along the rows; an axis that
    keeps its size is left out. The neighbours lie within `reach` positions, of the smaller map when it shrinks."""

    def formula(call: Call) -> Cost:
        (*lead, height, width), (rows, columns) = call.inputs[0].shape, call.output.shape[2:]
        total = 0
        for name, length, outputs, lines in (
            ("scales_w", width, columns, prod(lead) * height),
            ("scales_h", height, rows, prod(lead) * columns),
        ):
            if length != outputs:
                step = _step(length, outputs, call.given[name], corners=bool(call.given["align_corners"]))
                total += lines * (2 * _neighbours(length, outputs, step, reach * max(step, 1.0)) - outputs)
        return Cost(0, total)

    return formula


def _step(length: int, outputs: int, scale: float | None, *, corners: bool) -> float:
    if corners:
        return (length - 1) / (outputs - 1) if outputs > 1 else 0.0
    return 1 / scale if scale else length / outputs


def _neighbours(length: int, outputs: int, step: float, support: float) -> int:
    """How many positions all outputs together read along one axis."""
    centres = [step * (output + 0.5) for output in range(outputs)]
    return sum(min(int(each + support + 0.5), length) - max(int(each - support + 0.5), 0) for each in centres)


def _trilinear(call: Call) -> Cost:
    """`nn.Bilinear`: one MAC and one more multiplication for each triple of elements that meet."""
    sizes = []
    for number in (1, 2, 3):
        shape = list(call.tensor(f"i{number}").shape)
        for axis in call.given[f"expand{number}"]:
            shape.insert(axis, 1)
        sizes.append(shape)
    macs = prod(max(each) for each in zip(*sizes, strict=True))
    return Cost(macs, 3 * macs)


def _distances(call: Call) -> Cost:
    """A difference, its power and a sum for each pair of elements that meet, and a root for each distance."""
    pairs = call.output.numel
    return Cost(0, pairs * (3 * call.tensor("x1").shape[-1] + 1))


def _affine_grid(call: Call) -> Cost:
    """A matrix applied to every place of a grid: prod(output) × the matrix's columns."""
    return _with_bias(call, call.output.numel * call.tensor("theta").shape[-1])


def _each(formula: Callable[[Call], Cost], names: frozenset[str]) -> dict[str, Callable[[Call], Cost]]:
    return dict.fromkeys(names, formula)


FORMULAS: dict[str, Callable[[Call], Cost]] = {
    **_each(_convolution, kinds("convolution")),
    **_each(_product, kinds("product")),
    "linear": _linear,
    **_each(_attention, kinds("attention")),
    **_each(_norm, kinds("norm")),
    **_each(_pool, kinds("pool")),
    **_each(_adaptive_pool, kinds("adaptive pool")),
    **_each(_fractional_pool, frozenset(["fractional_max_pool2d", "fractional_max_pool3d"])),
    **_each(_an_element(1), kinds("reduction", "scan")),
    **_each(
        _an_element(4),
        frozenset(["logsumexp", "logcumsumexp", "var", "std", "var_mean", "std_mean", "_weight_norm_interface"]),
    ),
    **_each(_an_element(5), frozenset(["softmax", "_softmax", "_safe_softmax", "_log_softmax"])),
    **_each(_an_element(2), frozenset(["linalg_vector_norm", "norm", "native_dropout"])),
    "mkldnn_rnn_layer": _recurrent,
    "upsample_linear1d": _interpolation(2),
    "upsample_bilinear2d": _interpolation(4),
    "upsample_trilinear3d": _interpolation(8),
    "upsample_bicubic2d": _interpolation(16),
    "_upsample_bilinear2d_aa": _antialiased(1),
    "_upsample_bicubic2d_aa": _antialiased(2),
    "grid_sampler_2d": _interpolation(4),
    "_trilinear": _trilinear,
    "_cdist_forward": _distances,
    "affine_grid_generator": _affine_grid,
    "col2im": _an_element(1),
    "glu": _an_element(1),
}
