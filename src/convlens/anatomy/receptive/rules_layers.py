"""Rules for what slides, shrinks, enlarges or normalises: convolution, pooling, interpolation, statistics."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from convlens.anatomy.receptive import taps
from convlens.anatomy.receptive.field import Field, union
from convlens.anatomy.receptive.question import Question
from convlens.anatomy.receptive.taps import Taps


def convolution(q: Question) -> Field:
    """Taps along each spatial axis, union over a group's channels; a weight that depends on the input counts too."""
    stride, padding, dilation, transposed = (q.argument(position) for position in (3, 4, 5, 6))
    groups = int(q.argument(8))
    weight, given, made = q.tensor(1).shape, q.tensor(0).shape, q.size()
    found = _channels(q.field(0), given[1], made[1], groups)
    for axis in range(2, len(given)):
        number = axis - 2
        slide = taps.spread if transposed else taps.window
        found = found.along(
            axis,
            slide(
                given[axis],
                made[axis],
                kernel=weight[axis],
                stride=_pick(stride, number),
                padding=_pick(padding, number),
                dilation=_pick(dilation, number),
            ),
        )
    extra = [_weight(each, made, bool(transposed)) for each in (q.field(1), q.field(2)) if each.terms]
    return union([found, *extra], made) if extra else found


def _pick(values: Sequence[int], number: int) -> int:
    return int(values[number] if len(values) > 1 else values[0])


def _channels(found: Field, given: int, made: int, groups: int) -> Field:
    """Every output channel of a group sees every input channel of the group."""
    if not found.varies(found.factors(1)):
        return found.reduced([1], size=made)
    split = found.refactored(1, (groups, given // groups))
    inner = split.factors(1)[1]
    sizes = split.sizes
    mixed = split.mapped(lambda span: span.reduced([inner], sizes))
    return replace(mixed, layout=(mixed.layout[0], (groups, made // groups), *mixed.layout[2:]))


def _weight(found: Field, made: tuple[int, ...], transposed: bool) -> Field:
    """The field of a weight (C_out, …) or bias (C_out) that depends on the input, for each output channel."""
    if transposed:
        return found.whole(made, "weight that depends on the input")
    column = found.reduced(range(1, len(found.layout)), keep=True) if len(found.layout) > 1 else found
    flat = column.viewed((found.shape[0],) + (1,) * (len(made) - 2))
    return flat.broadcast(made)


def pool(dimensions: int) -> Callable[[Question], Field]:
    """Max and average pooling over the last `dimensions` axes."""

    def rule(q: Question) -> Field:
        kernel = each_axis(q.named("kernel_size"), dimensions)
        stride = each_axis(q.named("stride") or kernel, dimensions)
        padding = each_axis(q.named("padding", 0), dimensions)
        dilation = each_axis(q.named("dilation", 1), dimensions)
        found, given, made = q.field(0), q.tensor(0).shape, q.size()
        for number in range(dimensions):
            axis = len(given) - dimensions + number
            window = taps.window(
                given[axis],
                made[axis],
                kernel=kernel[number],
                stride=stride[number],
                padding=padding[number],
                dilation=dilation[number],
            )
            found = found.along(axis, window)
        return found

    return rule


def each_axis(value: int | Sequence[int], count: int) -> list[int]:
    """One number for each axis."""
    numbers = [value] if isinstance(value, int) else list(value)
    return numbers * count if len(numbers) == 1 else numbers


def adaptive_pool(q: Question) -> Field:
    """Adaptive pooling, whose windows differ where the sizes do not divide."""
    found, given, made = q.field(0), q.tensor(0).shape, q.size()
    for axis in range(len(given) - len(each_axis(q.argument(1), 1)), len(given)):
        windows = taps.adaptive(given[axis], made[axis])
        found = found.reduced([axis]) if made[axis] == 1 else found.along(axis, windows)
    return found


Resizer = Callable[[int, int, float | None, bool], Taps]


def resize(dimensions: int, resizer: Resizer) -> Callable[[Question], Field]:
    """Interpolation along the last `dimensions` axes."""

    def rule(q: Question) -> Field:
        corners = bool(q.named("align_corners", False))
        scales = [q.named(name) for name in ("scales_d", "scales_h", "scales_w")][3 - dimensions :]
        if dimensions == 1:
            scales = [q.named("scales")]
        found, given, made = q.field(0), q.tensor(0).shape, q.size()
        for number, scale in enumerate(scales):
            axis = len(given) - dimensions + number
            if given[axis] != made[axis] or scale not in (None, 1.0):
                found = found.along(axis, resizer(given[axis], made[axis], scale, corners))
        return found

    return rule


def _nearest(length: int, outputs: int, scale: float | None, _corners: bool) -> Taps:
    return taps.nearest(length, outputs, scale, exact=False)


def _nearest_exact(length: int, outputs: int, scale: float | None, _corners: bool) -> Taps:
    return taps.nearest(length, outputs, scale, exact=True)


def _linear(length: int, outputs: int, scale: float | None, corners: bool) -> Taps:
    return taps.interpolated(length, outputs, scale, corners=corners, cubic=False)


def _cubic(length: int, outputs: int, scale: float | None, corners: bool) -> Taps:
    return taps.interpolated(length, outputs, scale, corners=corners, cubic=True)


def _linear_aa(length: int, outputs: int, scale: float | None, corners: bool) -> Taps:
    return taps.antialiased(length, outputs, scale, corners=corners, cubic=False)


def _cubic_aa(length: int, outputs: int, scale: float | None, corners: bool) -> Taps:
    return taps.antialiased(length, outputs, scale, corners=corners, cubic=True)


def batch_norm(q: Question) -> Field | list[Field]:
    """With given statistics one element sees itself; with statistics of its own a channel sees all of itself."""
    no_statistics = q.operation.kind == "_native_batch_norm_legit_no_training"
    position = next(
        (i for i, each in enumerate(q.operation.operator._schema.arguments) if each.name in ("training", "train")), None
    )
    computes = not no_statistics and (position is None or bool(q.argument(position)))
    found = q.field(0)
    if not computes or q.local:
        return found
    others = [0, *range(2, len(found.layout))]
    return union([found, found.reduced(others).broadcast(q.size())], q.size())


def layer_norm(q: Question) -> Field:
    """Every element sees all elements that it is normalised with: the last axes."""
    found = q.field(0)
    axes = range(len(found.layout) - len(each_axis(q.argument(1), 1)), len(found.layout))
    wide = [axis for axis in axes if _position(found, axis)]
    if q.local and wide:
        axes = range(0)
    return _normalised(found, list(axes))


def group_norm(q: Question) -> Field:
    """Every element sees its whole group of channels and the whole map."""
    found, groups = q.field(0), int(q.argument(6))
    if q.local:
        return found
    channels = found.shape[1]
    split = found.refactored(1, (groups, channels // groups)) if found.varies(found.factors(1)) else found
    inner = [split.factors(1)[1]] if len(split.layout[1]) > 1 else []
    spatial = [factor for axis in range(2, len(split.layout)) for factor in split.factors(axis)]
    sizes = split.sizes
    return union([split, split.mapped(lambda span: span.reduced([*inner, *spatial], sizes))], found.shape)


def _normalised(found: Field, axes: Sequence[int]) -> Field:
    if not axes:
        return found
    return union([found, found.reduced(axes).broadcast(found.shape)], found.shape)


def _position(found: Field, axis: int) -> bool:
    """Whether the place on the image changes along this axis."""
    factors = found.factors(axis)
    free = any(span.free is not None and span.free.factor in factors for t in found.terms for span in t.spans.values())
    return free or found.varies(factors)


RULES: dict[str, Callable[[Question], Field | list[Field]]] = {
    "convolution": convolution,
    "_convolution": convolution,
    "convolution_overrideable": convolution,
    "max_pool2d_with_indices": pool(2),
    "max_pool3d_with_indices": pool(3),
    "avg_pool1d": pool(1),
    "avg_pool2d": pool(2),
    "avg_pool3d": pool(3),
    "_adaptive_avg_pool2d": adaptive_pool,
    "_adaptive_avg_pool3d": adaptive_pool,
    "adaptive_avg_pool1d": adaptive_pool,
    "adaptive_max_pool2d": adaptive_pool,
    "adaptive_max_pool3d": adaptive_pool,
    "upsample_nearest1d": resize(1, _nearest),
    "upsample_nearest2d": resize(2, _nearest),
    "upsample_nearest3d": resize(3, _nearest),
    "_upsample_nearest_exact1d": resize(1, _nearest_exact),
    "_upsample_nearest_exact2d": resize(2, _nearest_exact),
    "_upsample_nearest_exact3d": resize(3, _nearest_exact),
    "upsample_linear1d": resize(1, _linear),
    "upsample_bilinear2d": resize(2, _linear),
    "upsample_trilinear3d": resize(3, _linear),
    "upsample_bicubic2d": resize(2, _cubic),
    "_upsample_bilinear2d_aa": resize(2, _linear_aa),
    "_upsample_bicubic2d_aa": resize(2, _cubic_aa),
    "native_batch_norm": batch_norm,
    "batch_norm": batch_norm,
    "cudnn_batch_norm": batch_norm,
    "_native_batch_norm_legit": batch_norm,
    "_native_batch_norm_legit_no_training": batch_norm,
    "native_layer_norm": layer_norm,
    "_fused_rms_norm": layer_norm,
    "native_group_norm": group_norm,
}
