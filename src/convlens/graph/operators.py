"""What the operators of a graph are: their arguments by name, and the families they belong to.

Whoever reads an operation asks here, so that the position of an argument is nobody's business but the schema's:
`arguments_of(operation)["stride"]`, or, for the layers of a convolutional network, `Convolution.of(operation)`,
`Pool.of(operation)`, `Norm.of(operation)`, which are None for an operation of another family.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch

from convlens.graph.structure import Graph, Operation, Ref

Family = Literal[
    "convolution",
    "product",
    "attention",
    "pool",
    "adaptive pool",
    "norm",
    "resize",
    "activation",
    "pointwise",
    "view",
    "copy",
    "creation",
    "join",
    "arrangement",
    "pick",
    "reduction",
    "ranking",
    "scan",
]

_MEMBERS: dict[Family, str] = {
    "convolution": "convolution _convolution convolution_overrideable",
    "product": "mm bmm mv dot vdot addmm addmv addbmm baddbmm linear",
    "attention": (
        "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention "
        "_scaled_dot_product_efficient_attention _scaled_dot_product_attention_math "
        "_scaled_dot_product_attention_math_for_mps _scaled_dot_product_fused_attention_overrideable "
        "_scaled_dot_product_cudnn_attention"
    ),
    "pool": "max_pool2d_with_indices max_pool3d_with_indices avg_pool1d avg_pool2d avg_pool3d",
    "adaptive pool": (
        "adaptive_avg_pool1d _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d"
    ),
    "norm": (
        "native_batch_norm batch_norm cudnn_batch_norm miopen_batch_norm _native_batch_norm_legit "
        "_native_batch_norm_legit_no_training _batch_norm_with_update _batch_norm_no_update native_layer_norm "
        "native_group_norm _fused_rms_norm"
    ),
    "resize": (
        "upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d "
        "_upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d upsample_trilinear3d upsample_bicubic2d "
        "_upsample_bilinear2d_aa _upsample_bicubic2d_aa"
    ),
    "activation": (
        "relu silu sigmoid tanh gelu hardtanh hardswish hardsigmoid leaky_relu elu relu6 selu celu mish softplus prelu "
        "_prelu_kernel hardshrink softshrink threshold log_sigmoid log_sigmoid_forward"
    ),
    # element by element, though not all of them have torch's tag for it
    "pointwise": (
        "lerp addcmul addcdiv dropout rrelu rrelu_with_noise nan_to_num clamp clip floor_divide remainder fmod complex "
        "polar fake_quantize_per_tensor_affine"
    ),
    # nothing is calculated and nothing is moved: the same bytes, looked at in another way
    "view": (
        "view _unsafe_view reshape _reshape_alias expand permute transpose t squeeze unsqueeze select slice split "
        "split_with_sizes unsafe_split unsafe_split_with_sizes unbind chunk unfold diagonal as_strided alias detach "
        "view_as_real view_as_complex movedim swapaxes lift_fresh _conj real imag numpy_T flatten"
    ),
    # the same numbers in the same order, in other bytes
    "copy": "clone copy _to_copy contiguous lift view_copy narrow_copy resolve_conj",
    # numbers that depend on no tensor's numbers
    "creation": (
        "empty empty_like new_empty new_zeros new_ones new_full zeros zeros_like ones ones_like full full_like fill "
        "zero arange eye scalar_tensor linspace empty_strided new_empty_strided empty_permuted rand randn rand_like "
        "randn_like randint randperm normal uniform bernoulli tril_indices triu_indices"
    ),
    "join": "cat stack",
    # numbers moved to places that the operator's arguments tell
    "arrangement": (
        "roll flip rot90 repeat repeat_interleave constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d "
        "replication_pad1d replication_pad2d replication_pad3d pixel_shuffle pixel_unshuffle channel_shuffle "
        "native_channel_shuffle im2col slice_scatter select_scatter diagonal_copy diag_embed tril triu unfold_copy "
        "resize set split_copy split_with_sizes_copy _fw_primal"
    ),
    # numbers moved to or from places that a tensor tells
    "pick": (
        "index index_select gather take embedding take_along_dim index_put scatter masked_fill where one_hot "
        "max_unpool2d max_unpool3d"
    ),
    "reduction": (
        "sum mean amax amin max min aminmax argmax argmin prod any all nansum var std var_mean std_mean logsumexp norm "
        "linalg_vector_norm count_nonzero"
    ),
    "ranking": "sort argsort topk median nanmedian mode kthvalue",
    "scan": "cumsum cumprod cummax cummin logcumsumexp",
}
FAMILIES: Mapping[str, Family] = {kind: family for family, kinds in _MEMBERS.items() for kind in kinds.split()}


def plain(kind: str) -> str:
    """The operator's name without the underscore of its in-place form: `add_` is `add`."""
    return kind.removesuffix("_")


def family(operation: Operation) -> Family | None:
    """The family of an operation, in-place forms included; None for one in no table and for foreign operators."""
    return FAMILIES.get(plain(operation.kind)) if operation.target.startswith("aten.") else None


def kinds(*families: Family) -> frozenset[str]:
    """The names of all operators of some families, without in-place forms."""
    return frozenset(kind for kind, each in FAMILIES.items() if each in families)


def is_pointwise(operation: Operation) -> bool:
    """Whether each element of the output comes from the elements at its own place, by torch's tag or by our list."""
    if not operation.target.startswith("aten."):
        return False
    name = plain(operation.kind)
    if torch.Tag.pointwise in operation.operator.tags or name in ("masked_fill", "where"):
        return True
    if FAMILIES.get(name) in ("activation", "pointwise"):
        return True
    return name != operation.kind and _tagged_pointwise(name)


@cache
def _tagged_pointwise(name: str) -> bool:
    packet = getattr(torch.ops.aten, name, None)
    return packet is not None and any(torch.Tag.pointwise in getattr(packet, each).tags for each in packet.overloads())


# Arguments


def named(operator: Any, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by their names in the operator's schema, defaults filled in."""
    given = {}
    for position, declared in enumerate(operator._schema.arguments):
        if position < len(arguments):
            given[declared.name] = arguments[position]
        else:
            given[declared.name] = keywords.get(declared.name, declared.default_value)
    return given


def arguments_of(operation: Operation) -> dict[str, Any]:
    """The arguments of an operation by their names in its schema, defaults filled in; tensors are `Ref`s."""
    return named(operation.operator, operation.arguments, operation.keywords)


def origin(graph: Graph, index: int) -> int:
    """The tensor that another is a view or a copy of, however often."""
    producer = graph.tensors[index].producer
    while producer is not None and family(graph.operations[producer]) in ("view", "copy"):
        index = graph.operations[producer].inputs[0]
        producer = graph.tensors[index].producer
    return index


def each_axis(value: int | Sequence[int], count: int) -> tuple[int, ...]:
    """One number for each of `count` axes, as torch reads `3`, `[3]` and `[3, 5]`."""
    numbers = (value,) if isinstance(value, int) else tuple(value)
    return numbers * count if len(numbers) == 1 else numbers


def _tensor(value: Any) -> int | None:
    return value.tensor if isinstance(value, Ref) else None


def _axes_in(kind: str) -> int:
    """The number of axes that an operator's name tells: 2 for `max_pool2d_with_indices`."""
    return next(int(kind[i - 1]) for i in range(1, len(kind)) if kind[i] == "d" and kind[i - 1] in "123")


# The layers


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """A convolution in any number of axes, or the transposed one.

    Attributes:
        input, weight, bias: indices of tensors; bias is None where there is none. The weight is (C_out, C_in / groups,
            *kernel), of a transposed one (C_in, C_out / groups, *kernel).
        stride, padding, dilation, output_padding: one number for each axis.
    """

    input: int
    weight: int
    bias: int | None
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    output_padding: tuple[int, ...]
    transposed: bool
    groups: int

    @classmethod
    def of(cls, operation: Operation) -> "Convolution | None":
        """The convolution that an operation is, or None."""
        if family(operation) != "convolution":
            return None
        given = arguments_of(operation)
        geometry = {name: given[name] for name in ("stride", "padding", "dilation", "output_padding")}
        count = max(len(each_axis(value, 1)) for value in geometry.values())
        return cls(
            input=given["input"].tensor,
            weight=given["weight"].tensor,
            bias=_tensor(given["bias"]),
            transposed=bool(given["transposed"]),
            groups=int(given["groups"]),
            **{name: each_axis(value, count) for name, value in geometry.items()},
        )


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Max or average pooling with windows that slide.

    Attributes:
        how: "max" or "average".
        input: index of a tensor.
        kernel_size, stride, padding, dilation: one number for each of the last axes.
        count_include_pad: whether the average divides by the padding too.
        divisor: what the average divides by instead of the window's size, or None.
    """

    how: Literal["max", "average"]
    input: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil_mode: bool
    count_include_pad: bool
    divisor: int | None

    @classmethod
    def of(cls, operation: Operation) -> "Pool | None":
        """The pooling that an operation is, or None; adaptive pooling is an `AdaptivePool`."""
        if family(operation) != "pool":
            return None
        given, count = arguments_of(operation), _axes_in(operation.kind)
        return cls(
            how="max" if "max" in operation.kind else "average",
            input=given["self"].tensor,
            kernel_size=each_axis(given["kernel_size"], count),
            stride=each_axis(given["stride"] or given["kernel_size"], count),
            padding=each_axis(given["padding"], count),
            dilation=each_axis(given.get("dilation", 1), count),
            ceil_mode=bool(given["ceil_mode"]),
            count_include_pad=bool(given.get("count_include_pad", False)),
            divisor=given.get("divisor_override"),
        )


@dataclass(frozen=True, kw_only=True)
class AdaptivePool:
    """Max or average pooling to a given size: output i reads the positions from ⌊i·L/O⌋ to ⌈(i+1)·L/O⌉ − 1.

    Attributes:
        how: "max" or "average".
        input: index of a tensor.
        output_size: one number for each of the last axes.
    """

    how: Literal["max", "average"]
    input: int
    output_size: tuple[int, ...]

    @classmethod
    def of(cls, operation: Operation) -> "AdaptivePool | None":
        """The adaptive pooling that an operation is, or None."""
        if family(operation) != "adaptive pool":
            return None
        given = arguments_of(operation)
        return cls(
            how="max" if "max" in operation.kind else "average",
            input=given["self"].tensor,
            output_size=each_axis(given["output_size"], _axes_in(operation.kind)),
        )


@dataclass(frozen=True, kw_only=True)
class Norm:
    """A normalisation.

    Attributes:
        how: "batch", "layer", "group" or "rms".
        input, weight, bias, mean, variance: indices of tensors; None where there is none.
        epsilon: what is added to the variance; None: the smallest step of the numbers' type.
        computes: whether it computes the statistics from its input; a batch norm that does not takes mean and variance.
        axes: how many of the last axes a layer or RMS norm runs over, else 0.
        groups: of a group norm, else 1.
    """

    how: Literal["batch", "layer", "group", "rms"]
    input: int
    weight: int | None
    bias: int | None
    mean: int | None
    variance: int | None
    epsilon: float | None
    computes: bool
    axes: int = 0
    groups: int = 1

    @classmethod
    def of(cls, operation: Operation) -> "Norm | None":
        """The normalisation that an operation is, or None."""
        if family(operation) != "norm":
            return None
        given, kind = arguments_of(operation), operation.kind
        how: Literal["batch", "layer", "group", "rms"] = "batch"
        if "batch" not in kind:
            how = "layer" if "layer" in kind else "group" if "group" in kind else "rms"
        trains = given.get("training", kind == "_batch_norm_with_update")
        return cls(
            how=how,
            input=given["input"].tensor,
            weight=_tensor(given["weight"]),
            bias=_tensor(given.get("bias")),
            mean=_tensor(given.get("running_mean")),
            variance=_tensor(given.get("running_var")),
            epsilon=given["epsilon"] if "epsilon" in given else given["eps"],
            computes=how != "batch" or bool(trains),
            axes=len(given.get("normalized_shape", ())),
            groups=int(given.get("group", 1)),
        )
