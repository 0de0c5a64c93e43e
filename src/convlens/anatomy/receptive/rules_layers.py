"""Rules for what slides, shrinks, enlarges or normalises: convolution, pooling, interpolation, statistics."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from convlens.anatomy.receptive import taps
from convlens.anatomy.receptive.field import Field, union
from convlens.anatomy.receptive.fixed import ZERO
from convlens.anatomy.receptive.question import Question
from convlens.anatomy.receptive.rules_pointwise import is_gate
from convlens.anatomy.receptive.rules_shapes import joined
from convlens.anatomy.receptive.span import Mask
from convlens.anatomy.receptive.taps import Taps
from convlens.graph.operators import Convolution, Norm, Pool, each_axis, kinds


def convolution(q: Question) -> Field:
    """Taps along each spatial axis, union over a group's channels; a weight that depends on the input counts too."""
    layer = Convolution.of(q.operation)
    assert layer is not None
    weight, made = q.shape(1), q.size()
    dead = None if q.field(1).terms else q.fixed(1, ZERO)
    if dead is None:
        found = _channels(q.field(0), q.shape(0)[1], made[1], layer.groups)
        for axis, slide in enumerate(_slides(q, layer, weight[2:]), start=2):
            found = found.along(axis, slide)
    else:
        found = _tap_by_tap(q, layer, ~np.broadcast_to(dead, weight))
    weights = [each for each in (q.field(1), q.field(2)) if each.terms and not (q.local and is_gate(each, q.field(0)))]
    return union([found, *(_weight(each, made, layer.transposed) for each in weights)], made)


def _slides(q: Question, layer: Convolution, kernel: Sequence[int], tap: Sequence[int] | None = None) -> list[Taps]:
    """What the kernel reads along each spatial axis, or one tap of it."""
    given, made, slides = q.shape(0), q.size(), []
    geometry = [each_axis(each, len(kernel)) for each in (layer.stride, layer.padding, layer.dilation)]
    for number, (stride, padding, dilation) in enumerate(zip(*geometry, strict=True)):
        size, before = kernel[number], padding
        if tap is not None:
            size, before = 1, padding - tap[number] * dilation
        slide = taps.spread if layer.transposed else taps.window
        axis = number + 2
        slides.append(slide(given[axis], made[axis], kernel=size, stride=stride, padding=before, dilation=dilation))
    return slides


def _tap_by_tap(q: Question, layer: Convolution, alive: Mask) -> Field:
    """A kernel that is zero at places whatever is learned: the union over its taps of what each of them reads."""
    found, groups, outputs = q.field(0), layer.groups, q.size()[1]
    given = q.shape(0)[1] // groups
    if layer.transposed:  # (C_in, C_out / groups, …) to (C_out, C_in / groups, …)
        alive = (
            alive.reshape(groups, given, -1, *alive.shape[2:]).swapaxes(1, 2).reshape(outputs, given, *alive.shape[2:])
        )
    group = np.arange(outputs)[:, None] // (outputs // groups)
    into = np.arange(given) + group * given  # the input channels of each output channel
    parts = [q.nothing()]
    for tap in np.ndindex(*alive.shape[2:]):
        counts = alive[(slice(None), slice(None), *tap)]
        if counts.any():
            part = found.along(1, taps.table(q.shape(0)[1], into, counts))
            for axis, slide in enumerate(_slides(q, layer, alive.shape[2:], tap), start=2):
                part = part.along(axis, slide)
            parts.append(part)
    return union(parts, q.size())


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


def pool(q: Question) -> Field:
    """Max and average pooling over the last axes."""
    layer = Pool.of(q.operation)
    assert layer is not None
    found, given, made = q.field(0), q.shape(0), q.size()
    for number, axis in enumerate(range(len(given) - len(layer.kernel_size), len(given))):
        window = taps.window(
            given[axis],
            made[axis],
            kernel=layer.kernel_size[number],
            stride=layer.stride[number],
            padding=layer.padding[number],
            dilation=layer.dilation[number],
        )
        found = found.along(axis, window)
    return found


def adaptive_pool(q: Question) -> Field:
    """Adaptive pooling, whose windows differ where the sizes do not divide."""
    found, given, made = q.field(0), q.shape(0), q.size()
    for axis in range(len(given) - len(each_axis(q.argument(1), 1)), len(given)):
        windows = taps.adaptive(given[axis], made[axis])
        found = found.reduced([axis]) if made[axis] == 1 else found.along(axis, windows)
    return found


def fractional_pool(q: Question) -> Field:
    """Windows whose steps vary by chance: exact for given samples, else each window may begin at one of two places."""
    found, given, made, samples = q.field(0), q.shape(0), q.size(), q.value(3)
    kernel = q.named("kernel_size")
    sides = len(kernel)
    axes = range(len(given) - sides, len(given))
    if samples is None or samples.shape[0] != 1 or len(given) == sides + 1:
        for number, axis in enumerate(axes):
            low = _starts(given[axis], made[axis], kernel[number], 0.0)
            reach = np.minimum(low[:, None] + np.arange(kernel[number] + 1), given[axis] - 1)
            found = found.along(axis, taps.table(given[axis], reach, np.ones_like(reach, dtype=np.bool_)))
        return q.as_bound(found)
    channels = []
    for channel in range(given[1]):
        one = found.along(1, taps.listed(given[1], [channel]))
        for number, axis in enumerate(axes):
            sample = samples[0, channel, number if sides == 3 else 1 - number]
            reach = _starts(given[axis], made[axis], kernel[number], float(sample))[:, None] + np.arange(kernel[number])
            one = one.along(axis, taps.table(given[axis], reach, np.ones_like(reach, dtype=np.bool_)))
        channels.append(one)
    return joined(channels, 1, made)


def _starts(length: int, outputs: int, kernel: int, sample: float) -> NDArray[np.int64]:
    """Where the windows of fractional pooling begin (Graham 2014, "Fractional Max-Pooling", pseudo-random regions)."""
    alpha = (length - kernel) / (outputs - 1) if outputs > 1 else 0.0
    starts: NDArray[np.float64] = np.floor((np.arange(outputs) + sample) * alpha) - np.floor(sample * alpha)
    starts[-1] = length - kernel
    return starts.astype(np.int64)


# The others copy an axis that keeps its size, whatever the factor is.
_NEVER_COPY = kinds("resize") - {
    "upsample_nearest2d",
    "upsample_linear1d",
    "upsample_bilinear2d",
    "upsample_trilinear3d",
}
_NEVER_COPY -= {"_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"}
Resizer = Callable[[int, int, float | None, bool], Taps]


def resize(dimensions: int, resizer: Resizer) -> Callable[[Question], Field]:
    """Interpolation along the last `dimensions` axes."""

    def rule(q: Question) -> Field:
        corners = bool(q.named("align_corners", False))
        scales = [q.named(name) for name in ("scales_d", "scales_h", "scales_w")][3 - dimensions :]
        if dimensions == 1:
            scales = [q.named("scales")]
        found, given, made = q.field(0), q.shape(0), q.size()
        for number, scale in enumerate(scales):
            axis = len(given) - dimensions + number
            same = given[axis] == made[axis]
            if not same or (scale not in (None, 1.0) and q.operation.kind in _NEVER_COPY):
                reach = resizer(given[axis], made[axis], scale, corners)
                sure = reach.sure and not (same and "bicubic" in q.operation.kind)  # whose gradient is that of a copy
                found = found.along(axis, reach) if sure else q.as_bound(found.along(axis, reach))
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
    norm = Norm.of(q.operation)
    computes = norm is not None and norm.computes
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
    **dict.fromkeys(kinds("convolution"), convolution),
    **dict.fromkeys(kinds("pool"), pool),
    **dict.fromkeys(kinds("adaptive pool"), adaptive_pool),
    **dict.fromkeys(("fractional_max_pool2d", "fractional_max_pool3d"), fractional_pool),
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
