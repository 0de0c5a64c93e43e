"""What one operation costs: a small table of formulas on shapes.

A MAC is one multiply-add of a convolution or a matrix product, as the papers count ("FLOPs" in ResNet and EfficientNet
are MACs); the taps that fall on padding are counted, as everybody does. A FLOP is one addition, multiplication,
division, comparison or elementary function on floating-point numbers; a MAC is two FLOPs. An operation without formula
costs `None`, never 0.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch

from convlens.graph import Graph, Operation, Ref, Tensor


@dataclass(frozen=True)
class Cost:
    """MACs and FLOPs of one operation; None where there is no formula."""

    macs: int | None
    flops: int | None


UNKNOWN = Cost(None, None)
FREE = Cost(0, 0)


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


# Nothing is calculated: another view of the same bytes.
VIEWS = _words(
    "view _unsafe_view reshape _reshape_alias expand permute transpose transpose_ t t_ squeeze squeeze_",
    "unsqueeze unsqueeze_ select slice split split_with_sizes unsafe_split unsafe_split_with_sizes unbind",
    "chunk unfold diagonal as_strided as_strided_ alias detach detach_ view_as_real view_as_complex movedim swapaxes",
    "lift_fresh _conj real imag squeeze_dims numpy_T",
)
# Numbers are moved, written or converted; none is calculated from others.
_MOVES = _words(
    "clone copy copy_ _to_copy contiguous cat stack roll flip repeat repeat_interleave index index_select",
    "gather embedding take_along_dim constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d",
    "replication_pad1d replication_pad2d replication_pad3d pixel_shuffle pixel_unshuffle channel_shuffle",
    "native_channel_shuffle im2col upsample_nearest1d upsample_nearest2d upsample_nearest3d",
    "_upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d empty empty_like new_empty",
    "new_zeros new_ones new_full zeros zeros_like ones ones_like full full_like fill fill_ zero_ zero arange",
    "eye scalar_tensor lift linspace empty_strided new_empty_strided empty_permuted slice_scatter",
    "select_scatter tril triu index_put index_put_ scatter scatter_ masked_fill masked_fill_ where one_hot",
    "rot90 _fw_primal max_unpool2d narrow_copy unfold_copy resize_ set_ isnan rand rand_like randn_like",
)


class Call:
    """An operation's tensors and arguments by position, for the formulas."""

    def __init__(self, graph: Graph, operation: Operation) -> None:
        self.operation = operation
        self.outputs = [graph.tensors[index] for index in operation.outputs]
        self.inputs = [graph.tensors[index] for index in operation.inputs]
        self._graph = graph

    def tensor(self, position: int) -> Tensor:
        """The tensor given as argument number `position`."""
        ref = self.argument(position)
        if not isinstance(ref, Ref):
            raise LookupError(f"argument {position} of {self.operation.name} is no tensor")
        return self._graph.tensors[ref.tensor]

    def has_tensor(self, position: int) -> bool:
        """Whether argument number `position` is a tensor."""
        return isinstance(self.argument(position), Ref)

    def argument(self, position: int, default: Any = None) -> Any:
        """Argument number `position` of the operator's schema, given by position, by name or by default."""
        if position < len(self.operation.arguments):
            return self.operation.arguments[position]
        declared = self.operation.operator._schema.arguments
        if position < len(declared):
            value = self.operation.keywords.get(declared[position].name, declared[position].default_value)
            return default if value is None else value
        return default

    @property
    def output(self) -> Tensor:
        """The first output."""
        return self.outputs[0]


def cost(graph: Graph, operation: Operation) -> Cost:
    """MACs and FLOPs of one operation, `UNKNOWN` if there is no formula for its kind."""
    call = Call(graph, operation)
    kind = operation.kind
    if kind in VIEWS or kind in _MOVES:
        return FREE
    if not any(tensor.dtype.is_floating_point or tensor.dtype.is_complex for tensor in [*call.inputs, *call.outputs]):
        return FREE  # arithmetic on indices: no floating-point number is touched
    formula = FORMULAS.get(kind) if operation.target.startswith("aten.") else None
    if formula is not None:
        return formula(call)
    if is_pointwise(operation):
        return Cost(0, max(tensor.numel for tensor in call.outputs))
    return UNKNOWN


# Element by element, though torch does not say so.
_POINTWISE = _words(
    "masked_fill where lerp addcmul addcdiv dropout prelu _prelu_kernel rrelu rrelu_with_noise nan_to_num hardswish",
    "hardsigmoid hardtanh hardshrink softshrink mish celu selu elu gelu silu softplus log_sigmoid log_sigmoid_forward",
    "leaky_relu threshold relu6 clamp clip fake_quantize_per_tensor_affine floor_divide remainder fmod complex polar",
)


def is_pointwise(operation: Operation) -> bool:
    """Whether each element of the output comes from the elements at its own place, by torch's tag or by our list."""
    if not operation.target.startswith("aten."):
        return False
    if torch.Tag.pointwise in operation.operator.tags or operation.kind.rstrip("_") in _POINTWISE:
        return True
    plain = getattr(torch.ops.aten, operation.kind.rstrip("_"), None) if operation.kind.endswith("_") else None
    return plain is not None and any(torch.Tag.pointwise in getattr(plain, name).tags for name in plain.overloads())


def _convolution(call: Call) -> Cost:
    """One MAC for each output element and each weight that reaches it: prod(output) × C_in/groups × prod(kernel)."""
    weight, transposed = call.tensor(1), bool(call.argument(6))
    spread = call.tensor(0).numel if transposed else call.output.numel
    macs = spread * prod(weight.shape[1:])
    return Cost(macs, 2 * macs + (call.output.numel if call.has_tensor(2) else 0))


def _product(first: int, *, added: bool = False) -> Callable[[Call], Cost]:
    """Matrix product of arguments `first` and `first + 1`: one MAC for each output element and each inner index."""

    def formula(call: Call) -> Cost:
        macs = call.output.numel * call.tensor(first).shape[-1]
        if call.operation.kind == "addbmm":
            macs *= call.tensor(first).shape[0]
        return Cost(macs, 2 * macs + (call.output.numel if added else 0))

    return formula


def _linear(call: Call) -> Cost:
    """prod(output) × in_features."""
    macs = call.output.numel * call.tensor(1).shape[-1]
    return Cost(macs, 2 * macs + (call.output.numel if call.has_tensor(2) else 0))


def _attention(call: Call) -> Cost:
    """Two products, queries × keys and weights × values; scaling and softmax are 6 FLOPs for each weight."""
    query, key, value = call.tensor(0), call.tensor(1), call.tensor(2)
    weights = prod(query.shape[:-1]) * key.shape[-2]
    macs = weights * (query.shape[-1] + value.shape[-1])
    return Cost(macs, 2 * macs + 6 * weights)


def _batch_norm(call: Call) -> Cost:
    """Two FLOPs an element with given statistics (scale and shift), 6 when they are computed (mean 1, variance 3)."""
    named = call.operation.kind in ("native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm", "batch_norm")
    computes = bool(call.argument(5)) if named else call.operation.kind != "_native_batch_norm_legit_no_training"
    return Cost(0, call.output.numel * (6 if computes else 2))


def _an_element(flops: int) -> Callable[[Call], Cost]:
    """A fixed number of FLOPs for each element of the first input."""
    return lambda call: Cost(0, flops * call.tensor(0).numel)


def _pool(call: Call) -> Cost:
    """Max: one comparison, average: one addition or division for each output element and window position."""
    return Cost(0, call.output.numel * prod(_each(call.argument(1), len(call.output.shape) - 2)))


def _each(value: int | Sequence[int], count: int) -> list[int]:
    numbers = [value] if isinstance(value, int) else list(value)
    return numbers * count if len(numbers) == 1 else numbers


def _adaptive_pool(call: Call) -> Cost:
    """One FLOP for each output element and position of its window, [⌊i·L/O⌋, ⌈(i+1)·L/O⌉)."""
    given, made = call.tensor(0).shape, call.output.shape
    spatial = len(_each(call.argument(1), 1))
    total = prod(made[:-spatial])
    for length, outputs in zip(given[-spatial:], made[-spatial:], strict=True):
        total *= sum(-(-(i + 1) * length // outputs) - i * length // outputs for i in range(outputs))
    return Cost(0, total)


def _recurrent(call: Call) -> Cost:
    """Steps × gates × hidden × (inputs + hidden) MACs; 4 gates for an LSTM, 3 for a GRU; 5 FLOPs a gate beside."""
    steps = prod(call.tensor(0).shape[:-1])
    gates = {2: 4, 3: 3}.get(int(call.argument(9)), 1) * int(call.argument(10))
    macs = steps * gates * (call.tensor(0).shape[-1] + int(call.argument(10)))
    return Cost(macs, 2 * macs + 5 * steps * gates)


def _interpolation(taps: int) -> Callable[[Call], Cost]:
    """Weighted sum of `taps` neighbours: `2 · taps − 1` FLOPs for each output element."""
    return lambda call: Cost(0, (2 * taps - 1) * call.output.numel)


FORMULAS: dict[str, Callable[[Call], Cost]] = {
    "convolution": _convolution,
    "_convolution": _convolution,
    "convolution_overrideable": _convolution,
    "mm": _product(0),
    "bmm": _product(0),
    "mv": _product(0),
    "dot": _product(0),
    "vdot": _product(0),
    "addmm": _product(1, added=True),
    "addmm_": _product(1, added=True),
    "addmv": _product(1, added=True),
    "addbmm": _product(1, added=True),
    "baddbmm": _product(1, added=True),
    "baddbmm_": _product(1, added=True),
    "linear": _linear,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention": _attention,
    "_scaled_dot_product_efficient_attention": _attention,
    "_scaled_dot_product_attention_math": _attention,
    "_scaled_dot_product_attention_math_for_mps": _attention,
    "_scaled_dot_product_fused_attention_overrideable": _attention,
    "_scaled_dot_product_cudnn_attention": _attention,
    "native_batch_norm": _batch_norm,
    "batch_norm": _batch_norm,
    "cudnn_batch_norm": _batch_norm,
    "_native_batch_norm_legit": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "mkldnn_rnn_layer": _recurrent,
    "_weight_norm_interface": _an_element(4),
    "native_layer_norm": _an_element(8),
    "native_group_norm": _an_element(8),
    "_fused_rms_norm": _an_element(4),
    "native_dropout": _an_element(2),
    "max_pool2d_with_indices": _pool,
    "max_pool3d_with_indices": _pool,
    "avg_pool1d": _pool,
    "avg_pool2d": _pool,
    "avg_pool3d": _pool,
    "_adaptive_avg_pool2d": _adaptive_pool,
    "_adaptive_avg_pool3d": _adaptive_pool,
    "adaptive_max_pool2d": _adaptive_pool,
    "adaptive_max_pool3d": _adaptive_pool,
    "upsample_linear1d": _interpolation(2),
    "upsample_bilinear2d": _interpolation(4),
    "upsample_trilinear3d": _interpolation(8),
    "upsample_bicubic2d": _interpolation(16),
    "grid_sampler_2d": _interpolation(4),
    "col2im": _an_element(1),
    "softmax": _an_element(5),
    "_softmax": _an_element(5),
    "_safe_softmax": _an_element(5),
    "_log_softmax": _an_element(5),
    "logsumexp": _an_element(4),
    "var": _an_element(4),
    "std": _an_element(4),
    "var_mean": _an_element(4),
    "std_mean": _an_element(4),
    "linalg_vector_norm": _an_element(2),
    "norm": _an_element(2),
    "glu": _an_element(1),
    **{
        kind: _an_element(1)
        for kind in _words("sum mean amax amin max min aminmax argmax argmin prod any all cumsum cumprod cummax nansum")
    },
}
