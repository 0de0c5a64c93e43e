"""Rules for what only moves numbers: views, slices, padding, joining, rolling, index tensors."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import lcm

import numpy as np
import torch

from convlens.anatomy.receptive import taps
from convlens.anatomy.receptive.field import Field, Term, dense, union
from convlens.anatomy.receptive.fixed import ZERO, closed, fixed
from convlens.anatomy.receptive.picking import flat_places, picked, placed
from convlens.anatomy.receptive.question import Question
from convlens.anatomy.receptive.span import Array, Span, unites
from convlens.graph.operators import kinds, plain

Rule = Callable[[Question], Field | list[Field]]


def same(q: Question) -> Field:
    """The same elements in the same places."""
    return q.field(0)


def nothing(q: Question) -> Field:
    """Fresh numbers that depend on no input."""
    return q.nothing()


def fill(q: Question) -> Field:
    """One number everywhere, which may depend on an input."""
    return q.field(1).broadcast(q.size()) if q.field(1).terms else q.nothing()


def view(q: Question) -> Field:
    """The same elements, in order, in another shape."""
    return q.field(0).viewed(q.size())


def expand(q: Question) -> Field:
    """Elements repeated along axes of size 1."""
    return q.field(0).broadcast(q.size())


def permute(q: Question) -> Field:
    """Axes in another order."""
    return q.field(0).permuted(q.argument(1))


def transpose(q: Question) -> Field:
    """Two axes exchanged."""
    found = q.field(0)
    rank = len(found.layout)
    if rank < 2:
        return found
    one, other = q.named("dim0", 0) % rank, q.named("dim1", 1) % rank
    order = list(range(rank))
    order[one], order[other] = order[other], order[one]
    return found.permuted(order)


def squeeze(q: Question) -> Field:
    """Axes of size 1 taken away."""
    found = q.field(0)
    wanted = q.argument(1) if len(q.operation.operator._schema.arguments) > 1 else list(range(len(found.layout)))
    axes = {each % len(found.layout) for each in ([wanted] if isinstance(wanted, int) else wanted)}
    for axis in sorted(axes, reverse=True):
        if found.shape[axis] == 1:
            found = found.squeezed(axis)
    return found


def unsqueeze(q: Question) -> Field:
    """An axis of size 1 put in."""
    return q.field(0).unsqueezed(q.argument(1))


def select(q: Question) -> Field:
    """One position along an axis."""
    found, axis = q.field(0), q.argument(1) % len(q.shape(0))
    return found.along(axis, taps.listed(found.shape[axis], [q.argument(2)])).squeezed(axis)


def slice_(q: Question) -> Field:
    """Every `step`-th position from `start` on."""
    return _sliced(q.field(0), q.argument(1, 0), q.argument(2), q.argument(4, 1), q.size())


def _sliced(found: Field, axis: int, start: int | None, step: int, made: tuple[int, ...]) -> Field:
    axis %= len(made)
    length = found.shape[axis]
    first = _start(start, length)
    if first == 0 and step == 1 and made[axis] == length:
        return found
    return found.along(axis, taps.window(length, made[axis], kernel=1, stride=step, padding=-first, dilation=1))


def split(q: Question) -> list[Field]:
    """Consecutive pieces along an axis."""
    axis, start, pieces = q.argument(2, 0), 0, []
    for number in range(len(q.outputs)):
        made = q.size(number)
        pieces.append(_sliced(q.field(0), axis, start, 1, made))
        start += made[axis]
    return pieces


def unbind(q: Question) -> list[Field]:
    """Every position along an axis on its own."""
    found, axis = q.field(0), q.argument(1, 0) % len(q.shape(0))
    length = found.shape[axis]
    return [found.along(axis, taps.listed(length, [i])).squeezed(axis) for i in range(length)]


def pad(mode: str) -> Rule:
    """Padding, the last axis first; negative amounts crop."""

    def rule(q: Question) -> Field:
        found, amounts, made = q.field(0), q.argument(1), q.size()
        for number in range(len(amounts) // 2):
            axis = len(made) - 1 - number
            if amounts[2 * number] or amounts[2 * number + 1]:
                found = found.along(axis, taps.shifted(found.shape[axis], made[axis], amounts[2 * number], mode))
        return found

    return rule


def roll(q: Question) -> Field:
    """Positions shifted, those that fall off coming in on the other side."""
    found, shifts, axes = q.field(0), q.argument(1), q.argument(2, [])
    if not axes:
        turned_flat = torch.from_numpy(flat_places(found.shape)).roll(shifts)
        return picked(found, turned_flat.numpy(), q.operation.target)
    for shift, axis in zip(shifts, axes, strict=True):
        length = found.shape[axis]
        turned = taps.shifted(length, length, (shift + length // 2) % length - length // 2, "circular")
        found = found.along(axis, turned)
    return found


def flip(q: Question) -> Field:
    """Axes read backwards."""
    found = q.field(0)
    for axis in q.argument(1):
        found = found.along(axis, taps.flipped(found.shape[axis]))
    return found


def rot90(q: Question) -> Field:
    """A plane turned by quarters: backwards along one of its axes, then the two exchanged."""
    (one, other), turns, found = q.named("dims"), q.named("k", 1) % 4, q.field(0)
    rank = len(found.layout)
    order = list(range(rank))
    if turns % 2:
        order[one], order[other] = order[other % rank], order[one % rank]
    for axis in {0: (), 1: (other,), 2: (one, other), 3: (one,)}[turns]:
        found = found.along(axis, taps.flipped(found.shape[axis]))
    return found.permuted(order)


def diagonal(q: Question) -> Field:
    """The diagonal of two axes as a new last one."""
    found, offset = q.field(0).singles(), q.named("offset", 0)
    rank = len(found.layout)
    one, other = (q.named(name, 0) % rank for name in ("dim1", "dim2"))
    made = q.size()
    steps = np.arange(made[-1])

    def pick(span: Span) -> Span:
        array = np.moveaxis(span.seen, [one, other], [-3, -2])
        rows, columns = (
            steps + max(0, each) if length > 1 else 0 * steps
            for each, length in zip((-offset, offset), array.shape[-3:-1], strict=True)
        )
        rest = [each for each in range(rank) if each not in (one, other)]
        along = frozenset(rest.index(each) if each in rest else rank - 2 for each in span.along)
        return Span(array[..., rows, columns, :], None, span.word or "diagonal", along)

    return found.mapped(pick, dense(made)).settled().compressed()


def diagonal_embedding(q: Question) -> Field:
    """The last axis as the diagonal of two new ones, with zeros beside it."""
    made, new = q.size(), q.field(0)
    whole = torch.from_numpy(flat_places(made))
    places = whole.diagonal(q.named("offset", 0), q.named("dim1", -2), q.named("dim2", -1)).contiguous()
    found = placed(Field(()), new, places.numpy(), made, adding=True, reason=q.operation.target)
    return found.mapped(lambda span: replace(span, along=frozenset([len(made) - 2, len(made) - 1])))


def triangle(q: Question) -> Field:
    """The elements on one side of a diagonal of the last two axes; the others are 0."""
    kept = getattr(torch, plain(q.operation.kind))(torch.ones(q.size()[-2:]), q.named("diagonal", 0)) > 0
    mask = (~kept.numpy()).reshape((1,) * (len(q.size()) - 2) + kept.shape)
    return fixed(closed(q.field(0), mask), mask, ZERO)


def slice_scatter(q: Question) -> Field:
    """A tensor put into a slice, or into one position, of another."""
    base, new, made = q.field(0), q.field(1), q.size()
    axis = q.named("dim", 0) % len(made)
    if "select" in q.operation.kind:
        first, step, count = q.named("index") % made[axis], 1, 1
        new = new.unsqueezed(axis) if new.terms else new
    else:
        first, step = _start(q.named("start"), made[axis]), q.named("step", 1)
        count = q.shape(1)[axis]
    form = [1] * len(made)
    form[axis] = made[axis]
    mask = np.isin(np.arange(made[axis]), first + step * np.arange(count)).reshape(form)
    parts = [closed(base, mask)] if base.terms else []
    if new.terms:
        back = taps.spread(count, made[axis], kernel=1, stride=step, padding=-first, dilation=1)
        parts.append(new.along(axis, back))
    return union(parts, made)


def _start(start: int | None, length: int) -> int:
    return min(max(0, (start or 0) + (length if (start or 0) < 0 else 0)), length)


def repeat(q: Question) -> Field:
    """The whole tensor several times along its axes."""
    found, times = q.field(0), q.argument(1)
    while len(found.layout) < len(times):
        found = found.unsqueezed(0)
    for axis, count in enumerate(times):
        length = found.shape[axis]
        if count != 1:
            found = found.along(axis, taps.listed(length, np.tile(np.arange(length), count)))
    return found


def repeat_interleave(q: Question) -> Field:
    """Each position several times in a row."""
    found, times, axis = q.field(0), q.argument(1), q.argument(2)
    if not isinstance(times, int) or axis is None:
        return q.bounded()
    return found.along(axis, taps.repeated(found.shape[axis], times))


def cat(q: Question) -> Field:
    """Tensors one after another along an axis."""
    parts = [each for each in q.fields(0) if each.shape != (0,)]
    return joined(parts, q.argument(1, 0), q.size())


def stack(q: Question) -> Field:
    """Tensors side by side along a new axis."""
    axis = q.argument(1, 0) % len(q.size())
    found = joined([each.unsqueezed(axis) for each in q.fields(0)], axis, q.size())
    (factor, *_) = found.factors(axis)

    def placed_again(span: Span) -> Span:  # an axis that was taken apart, as by unbind, is put together again
        lost = not span.along and span.seen.shape[factor] > 1
        return replace(span, along=frozenset([factor])) if lost else span

    return found.mapped(placed_again)


def joined(parts: Sequence[Field], axis: int, made: tuple[int, ...]) -> Field:
    """Fields one after another along `axis`."""
    axis %= len(made)
    bounds = frozenset().union(*(each.bounds for each in parts))
    placed, start = [], 0
    for part in _gathered(parts, axis):
        placed.append(_placed(part, axis, start, made))
        start += part.shape[axis]
    found = union(placed, made)
    return replace(found.compressed(), bounds=bounds)


def _gathered(parts: Sequence[Field], axis: int) -> list[Field]:
    """Neighbours along `axis` joined at once where each has one term, so that long rows of parts stay cheap."""
    groups: list[list[Field]] = []
    for part in parts:
        if groups and _alike(groups[-1][0], part, axis):
            groups[-1].append(part)
        else:
            groups.append([part])
    return [group[0] if len(group) == 1 else _chained(group, axis) for group in groups]


def _alike(one: Field, other: Field, axis: int) -> bool:
    if len(one.terms) != 1 or len(other.terms) != 1:
        return False
    this, that = one.terms[0], other.terms[0]
    same_axes = this.source == that.source and this.spans.keys() == that.spans.keys()
    rest = [each for number, each in enumerate(one.layout) if number != axis]
    return same_axes and rest == [each for number, each in enumerate(other.layout) if number != axis]


def _chained(parts: Sequence[Field], axis: int) -> Field:
    parts = [part.single(axis) for part in parts]
    (factor,) = parts[0].factors(axis)
    lengths = [part.shape[axis] for part in parts]
    term = parts[0].terms[0]
    spans = {each: _chain([part.terms[0].spans[each] for part in parts], factor, lengths) for each in term.spans}
    layout = (*parts[0].layout[:axis], (sum(lengths),), *parts[0].layout[axis + 1 :])
    return Field(layout, (Term(term.source, spans),)).settled()


def _chain(spans: Sequence[Span], factor: int, lengths: Sequence[int]) -> Span:
    seen = _concatenated([span.seen for span in spans], factor, lengths)
    along = frozenset().union(*(span.along for span in spans))
    word = next((span.word for span in spans if span.word), "")
    known = [span.free for span in spans if span.free is not None]
    if len(known) < len(spans) or any(free.factor == factor for free in known):
        return Span(seen, None, word or "pieces", along)
    if len({(free.factor, free.advance / free.phases) for free in known}) > 1:
        return Span(seen, None, "misaligned branches", along)
    phases = lcm(*(free.phases for free in known))
    known = [free.tiled(phases) for free in known]
    free = replace(known[0], reach=_concatenated([each.reach for each in known], factor, lengths))
    return Span(seen, free, "", along)


def _concatenated(arrays: Sequence[Array], factor: int, lengths: Sequence[int]) -> Array:
    """Arrays one after another along `factor`; left at length 1 if they all say the same."""
    if all(array.shape[factor] == 1 and np.array_equal(array, arrays[0]) for array in arrays):
        return arrays[0]
    shapes = [(*array.shape[:factor], 1, *array.shape[factor + 1 :]) for array in arrays]
    common = list(np.broadcast_shapes(*shapes))
    wide = []
    for array, length in zip(arrays, lengths, strict=True):
        common[factor] = length
        wide.append(np.broadcast_to(array, common))
    return np.concatenate(wide, axis=factor)


def _placed(part: Field, axis: int, start: int, made: tuple[int, ...]) -> Field:
    """The field of `part`, put at `start` of a longer axis that looks nowhere elsewhere."""
    if part.shape[axis] == made[axis] or not part.terms:
        return part if part.terms else Field(dense(made))
    length = part.shape[axis]
    part = part.single(axis)
    (factor,) = part.factors(axis)
    layout = (*part.layout[:axis], (made[axis],), *part.layout[axis + 1 :])
    return part.mapped(lambda span: _place(span, factor, length, start, made[axis]), layout).settled()


def _place(span: Span, factor: int, length: int, start: int, total: int) -> Span:
    def wide(array: Array) -> Array:
        shape = list(array.shape)
        shape[factor] = total
        result = np.full(shape, unites(array)[1])
        result[(slice(None),) * factor + (slice(start, start + length),)] = array
        return result

    free, word = span.free, span.word
    if free is not None and free.factor == factor:
        free, word = None, "pieces"
    elif free is not None:
        free = replace(free, reach=wide(free.reach))
    return Span(wide(span.seen), free, word, span.along)


def unfold(q: Question) -> Field:
    """Windows along one axis, laid out in a new last axis."""
    found, axis = q.field(0), q.argument(1)
    axis %= len(found.layout)
    length, size, step = found.shape[axis], q.argument(2), q.argument(3)
    return found.windows(
        axis, taps.window(length, (length - size) // step + 1, kernel=size, stride=step, padding=0, dilation=1)
    )


def im2col(q: Question) -> Field:
    """Patches as columns: (N, C, H, W) to (N, C · kernel, places)."""
    kernel, dilation, padding, stride = (q.argument(position) for position in (1, 2, 3, 4))
    found = q.field(0)
    places = []
    for number, axis in enumerate((2, 3)):
        length = found.shape[axis]
        reach = dilation[number] * (kernel[number] - 1) + 1
        count = (length + 2 * padding[number] - reach) // stride[number] + 1
        places.append(count)
        window = taps.window(
            length,
            count,
            kernel=kernel[number],
            stride=stride[number],
            padding=padding[number],
            dilation=dilation[number],
        )
        found = found.windows(axis, window)
    return found.permuted((0, 1, 4, 5, 2, 3)).viewed(q.size())


def col2im(q: Question) -> Field:
    """Columns back to an image, overlapping patches added: (N, C · kernel, places) to (N, C, H, W)."""
    size, kernel, dilation, padding, stride = (q.argument(position) for position in range(1, 6))
    found = q.field(0)
    if len(found.layout) != 3:
        return q.bounded()
    reach = [dilation[i] * (kernel[i] - 1) + 1 for i in (0, 1)]
    places = [(size[i] + 2 * padding[i] - reach[i]) // stride[i] + 1 for i in (0, 1)]
    channels = found.shape[1] // (kernel[0] * kernel[1])
    found = found.viewed((found.shape[0], channels, *kernel, *places))
    for i in (1, 0):  # columns first, so that the dimensions before them keep their numbers
        parts = []
        for k in range(kernel[i]):
            part = found.along(2 + i, taps.listed(kernel[i], [k])).squeezed(2 + i)
            back = taps.spread(
                places[i], size[i], kernel=1, stride=stride[i], padding=padding[i] - k * dilation[i], dilation=1
            )
            parts.append(part.along(2 + 2 * i, back))
        found = union(parts, parts[0].shape)
    return found


def pixel_shuffle(q: Question) -> Field:
    """Channels to pixels: C·r² channels become blocks of r × r pixels."""
    found, r = q.field(0), q.argument(1)
    *batch, channels, height, width = found.shape
    n = len(batch)
    split_up = found.viewed((*batch, channels // (r * r), r, r, height, width))
    return split_up.permuted((*range(n), n, n + 3, n + 1, n + 4, n + 2)).viewed(q.size())


def pixel_unshuffle(q: Question) -> Field:
    """Pixels to channels."""
    found, r = q.field(0), q.argument(1)
    *batch, channels, height, width = found.shape
    n = len(batch)
    split_up = found.viewed((*batch, channels, height // r, r, width // r, r)).unplaced(n + 2).unplaced(n + 4)
    return split_up.permuted((*range(n), n, n + 2, n + 4, n + 1, n + 3)).viewed(q.size())


def channel_shuffle(q: Question) -> Field:
    """Channels of the groups interleaved."""
    found, groups = q.field(0), q.argument(1)
    batch, channels, *rest = found.shape
    return (
        found.viewed((batch, groups, channels // groups, *rest))
        .permuted((0, 2, 1, *range(3, 3 + len(rest))))
        .viewed(q.size())
    )


def replayed(found: Field, shape: tuple[int, ...], move: Callable[[torch.Tensor], torch.Tensor], reason: str) -> Field:
    """Let torch move the numbers of the elements as it moves the elements; there is no free pattern afterwards."""
    return picked(found, move(torch.from_numpy(flat_places(shape))).numpy(), reason)


def copy(q: Question) -> Field:
    """The second tensor, broadcast into the place of the first."""
    return q.field(1).broadcast(q.size()) if q.field(1).terms else q.nothing()


def view_as_complex(q: Question) -> Field:
    """The last axis, of size 2, becomes real and imaginary part."""
    return q.field(0).reduced([-1], keep=False)


def view_as_real(q: Question) -> Field:
    """Real and imaginary part become a last axis of size 2."""
    found = q.field(0)
    return found.unsqueezed(len(found.layout)).broadcast(q.size())


def _many(names: str, rule: Rule) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


RULES: dict[str, Rule] = {
    **_many("view _unsafe_view reshape _reshape_alias view_copy", view),
    **_many("clone _to_copy contiguous alias detach lift lift_fresh _conj conj native_dropout resolve_conj", same),
    **dict.fromkeys(kinds("creation"), nothing),
    "fill": fill,
    "expand": expand,
    "permute": permute,
    **_many("transpose t", transpose),
    "squeeze": squeeze,
    "unsqueeze": unsqueeze,
    "select": select,
    "slice": slice_,
    **_many("split split_with_sizes unsafe_split unsafe_split_with_sizes split_copy split_with_sizes_copy", split),
    "unbind": unbind,
    "constant_pad_nd": pad("constant"),
    **_many("reflection_pad1d reflection_pad2d reflection_pad3d", pad("reflect")),
    **_many("replication_pad1d replication_pad2d replication_pad3d", pad("replicate")),
    "roll": roll,
    "flip": flip,
    "rot90": rot90,
    **_many("diagonal diagonal_copy", diagonal),
    "diag_embed": diagonal_embedding,
    **_many("tril triu", triangle),
    **_many("slice_scatter select_scatter", slice_scatter),
    "repeat": repeat,
    "repeat_interleave": repeat_interleave,
    "cat": cat,
    "stack": stack,
    "unfold": unfold,
    "im2col": im2col,
    "col2im": col2im,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    **_many("channel_shuffle native_channel_shuffle", channel_shuffle),
    "copy": copy,
    "view_as_complex": view_as_complex,
    "view_as_real": view_as_real,
}
