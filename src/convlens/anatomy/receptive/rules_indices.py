"""Rules for what numbers decide: picking and placing by index tensors, un-pooling, sampling at computed places.

Where the deciding numbers are constants the answer is exact; where they depend on the input it is a bound from above.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from math import prod

import numpy as np
import torch

from convlens.anatomy.receptive import taps
from convlens.anatomy.receptive.field import Field, dense, union
from convlens.anatomy.receptive.fixed import closed
from convlens.anatomy.receptive.picking import flat_places, picked, placed
from convlens.anatomy.receptive.question import Question
from convlens.anatomy.receptive.rules_shapes import replayed
from convlens.anatomy.receptive.span import Bits, Span
from convlens.graph import Ref
from convlens.graph.operators import Pool

Rule = Callable[[Question], Field | list[Field]]
_ROUNDING = 1e-5  # of a position in pixels; nearer to a tie than this, float32 may decide otherwise


def index_select(q: Question) -> Field:
    """Positions along one axis; any of them if the input decides."""
    found, axis, positions = q.field(0), q.argument(1), q.value(2)
    if not found.layout:
        return found
    if positions is None:
        return q.as_bound(_union(q, [_anywhere(found, axis, q.size()), q.field(2).whole(q.size(), q.operation.target)]))
    return found.along(axis, taps.listed(found.shape[axis], positions.numpy()))


def index(q: Question) -> Field:
    """Elements picked by index tensors; torch picks the same ones from the arrays of the field."""
    found = q.field(0)
    try:
        picks = q.values(1)
    except LookupError:
        return q.bounded()
    picks = [*picks, *([None] * (len(found.layout) - len(picks)))]
    if sum(pick is not None for pick in picks) == 1 and all(p is None or p.dtype != torch.bool for p in picks):
        axis = next(i for i, pick in enumerate(picks) if pick is not None)
        pick = picks[axis]
        if pick is not None and pick.ndim == 1:
            return found.along(axis, taps.listed(found.shape[axis], pick.numpy()))
    return replayed(
        found,
        found.shape,
        lambda array: array[tuple(slice(None) if p is None else p for p in picks)],
        q.operation.target,
    )


def gather(q: Question) -> Field:
    """Elements picked along one axis by a tensor of the same rank; any along it if the input decides."""
    found, axis, positions = q.field(0), q.argument(1), q.value(2)
    if positions is not None:
        return replayed(found, found.shape, lambda array: array.gather(axis, positions), q.operation.target)
    parts = [q.field(2)] if q.field(2).terms else []
    return q.as_bound(_union(q, [*parts, _anywhere(found, axis, q.size())]))


def take(q: Question) -> Field:
    """Elements picked by their flat positions; any of them if the input decides."""
    positions = q.value(1)
    if positions is None:
        return q.bounded()
    found = q.field(0)
    return picked(found, np.where(positions < 0, positions + prod(found.shape), positions), q.operation.target)


def index_fill(q: Question) -> Field:
    """A number put to the positions along one axis that an index tensor names."""
    positions, found, made = q.value(2), q.field(0), q.size()
    if positions is None or q.every_field()[-1] is not found:
        return q.bounded()
    axis = q.named("dim") % len(made)
    form = [1] * len(made)
    form[axis] = made[axis]
    return closed(found, np.isin(np.arange(made[axis]), positions.numpy() % made[axis]).reshape(form))


def _anywhere(found: Field, axis: int, made: tuple[int, ...]) -> Field:
    """Any element along `axis`, the others in place; from anywhere if the other axes are cut too."""
    axis %= len(made)
    if not found.terms:
        return Field(dense(made))
    if any(found.shape[each] != made[each] for each in range(len(made)) if each != axis):
        return found.whole(made, "")
    return found.reduced([axis], size=made[axis])


def _union(q: Question, parts: list[Field]) -> Field:
    found = union([each for each in parts if each.terms], q.size())
    return replace(found, bounds=found.bounds - {""})


# Placing


def scatter(q: Question) -> Field:
    """Elements put to the places along one axis that an index tensor names, instead of what is there or added to it."""
    kept, axis, positions = q.field(0), q.named("dim"), q.value(2)
    new = q.field(3) if q.has_tensor(3) else Field(())
    adding = "add" in q.operation.kind or "reduce" in q.operation.kind
    if positions is None:
        parts = [_anywhere(new, axis, q.size())] if new.terms else []
        return q.as_bound(_union(q, [kept, *parts, _anywhere(q.field(2), axis, q.size())]))
    whole = torch.from_numpy(flat_places(q.size()))
    corner = whole[tuple(slice(0, size) for size in positions.shape)]
    places = corner + (positions - _own(positions.shape, axis)) * whole.stride(axis)
    for each, (length, count) in enumerate(zip(new.shape, positions.shape, strict=False)):
        if length != count:
            new = new.along(each, taps.window(length, count, kernel=1, stride=1, padding=0, dilation=1))
    return _placed(q, kept, new, places, adding=adding)


def _own(shape: torch.Size, axis: int) -> torch.Tensor:
    form = [1] * len(shape)
    form[axis] = shape[axis]
    return torch.arange(shape[axis]).view(form)


def index_put(q: Question) -> Field:
    """Elements put to the places that index tensors name."""
    try:
        picks = q.values(1)
    except LookupError:
        return q.bounded()
    whole = torch.from_numpy(flat_places(q.size()))
    places = whole[tuple(slice(None) if pick is None else pick for pick in picks)]
    return _placed(q, q.field(0), q.field(2), places, adding=bool(q.named("accumulate", False)))


def index_add(q: Question) -> Field:
    """Slices put to (index_copy) or added at (index_add) the positions along one axis that an index tensor names."""
    positions = q.value(2)
    if positions is None:
        return q.bounded()
    places = torch.from_numpy(flat_places(q.size())).index_select(q.named("dim"), positions.reshape(-1))
    return _placed(q, q.field(0), q.field(3), places, adding="add" in q.operation.kind)


def _placed(q: Question, kept: Field, new: Field, places: torch.Tensor, *, adding: bool) -> Field:
    """The field after elements of `new` went to flat `places` of its shape; several at one place are united."""
    found = placed(kept, new, places.numpy(), q.size(), adding=adding, reason=q.operation.target)
    # one of several stays, and torch does not say which
    several = bool(new.terms) and not adding and len(torch.unique(places)) < places.numel()
    return q.as_bound(found) if several else found


def max_unpool(q: Question) -> Field:
    """Each value goes back to where the maximum was; if the input decides that, to any place of its window."""
    found, made, positions = q.field(0), q.size(), q.value(1)
    sides = len(q.named("output_size"))
    if positions is not None:
        plane = prod(made[-sides:])
        lead = torch.arange(prod(made[:-sides])).view(*made[:-sides], *([1] * sides)) * plane
        return _placed(q, Field(()), found, positions.long() + lead, adding=False)
    given = union([each for each in (found, q.field(1)) if each.terms], q.shape(0))
    pool = _pool_of(q, sides)
    if pool is None:
        axes = list(range(len(made) - sides, len(made)))
        for axis in axes:
            given = given.reduced([axis], size=made[axis])
        return q.as_bound(given)
    for number in range(sides):
        axis = len(made) - sides + number
        kernel, stride, padding, dilation = (each[number] for each in pool)
        back = taps.spread(
            given.shape[axis], made[axis], kernel=kernel, stride=stride, padding=padding, dilation=dilation
        )
        given = given.along(axis, back)
    return q.as_bound(given)


def _pool_of(q: Question, sides: int) -> tuple[tuple[int, ...], ...] | None:
    """Kernel, stride, padding and dilation of the pooling that made the indices, if its maps had the output's size."""
    ref = q.argument(1)
    tensor = q.graph.tensors[ref.tensor] if isinstance(ref, Ref) else None
    producer = q.graph.operations[tensor.producer] if tensor is not None and tensor.producer is not None else None
    pool = None if producer is None else Pool.of(producer)
    if pool is None or pool.how != "max" or q.graph.tensors[pool.input].shape[-sides:] != q.size()[-sides:]:
        return None
    return pool.kernel_size, pool.stride, pool.padding, pool.dilation


# Sampling


def grid_sample(q: Question) -> Field:
    """Interpolation at the places of a grid: exact for a grid of constants, else anywhere on the map."""
    found, grid, made = q.field(0), q.field(1), q.size()
    spatial = range(2, len(made))
    numbers = None if grid.terms else q.value(1)
    if numbers is None:
        parts = [grid.reduced([-1], keep=False).unsqueezed(1).broadcast(made)] if grid.terms else []
        if found.terms:
            for axis in spatial:
                found = found.reduced([axis], size=made[axis])
            parts.append(found)
        return q.as_bound(union(parts, made))
    given = q.shape(0)
    mode, padding, corners = int(q.argument(2)), int(q.argument(3)), bool(q.argument(4))
    sides = [
        _sampled(numbers[..., len(given) - 1 - axis].double(), given[axis], mode, padding, corners) for axis in spatial
    ]
    answer = _sample(found, sides, made)
    return answer if all(side.sure for side in sides) else q.as_bound(answer)


@dataclass(frozen=True)
class _Side:
    """Along one axis, for every place of the grid: positions (N, *out, taps) and which of them are read.

    `sure` says that no rounding of the grid's arithmetic could change that.
    """

    positions: torch.Tensor
    read: torch.Tensor
    sure: bool


def _sampled(g: torch.Tensor, size: int, mode: int, padding: int, corners: bool) -> _Side:
    """Positions and weights as `grid_sampler` has them: bilinear, nearest, bicubic; zeros, the border, a mirror."""
    place = (g + 1) / 2 * (size - 1) if corners else ((g + 1) * size - 1) / 2
    if mode != 2:
        place = _folded(place, size, padding, corners)
    if mode == 1:
        positions = place.round()[..., None]
        weights = torch.ones_like(positions)
        sure = bool(((place - place.floor() - 0.5).abs() > _ROUNDING).all())
    else:
        base = place.floor()
        share = (place - base)[..., None]
        offsets = torch.arange(2) if mode == 0 else torch.arange(-1, 3)
        positions = base[..., None] + offsets
        weights = torch.cat([1 - share, share], -1) if mode == 0 else _cubic(share)
        sure = bool(((weights.abs() > _ROUNDING) | (weights == 0)).all())
        if mode == 2:
            positions = _folded(positions, size, padding, corners)
    inside = (positions >= 0) & (positions < size)
    return _Side(torch.where(inside, positions, 0).long(), inside & (weights != 0), sure)


def _folded(place: torch.Tensor, size: int, padding: int, corners: bool) -> torch.Tensor:
    if padding == 0:
        return place
    if padding == 2:
        low, span = (0.0, float(size - 1)) if corners else (-0.5, float(size))
        if span == 0:
            return torch.zeros_like(place)
        away = (place - low).abs()
        turns, rest = torch.div(away, span, rounding_mode="floor"), away.remainder(span)
        place = torch.where(turns.remainder(2) == 0, rest + low, span - rest + low)
    return place.clamp(0, size - 1)


def _cubic(share: torch.Tensor) -> torch.Tensor:
    """The four weights of cubic convolution with a = −0.75."""
    a = -0.75

    def near(away: torch.Tensor) -> torch.Tensor:
        return ((a + 2) * away - (a + 3)) * away * away + 1

    def far(away: torch.Tensor) -> torch.Tensor:
        return ((a * away - 5 * a) * away + 8 * a) * away - 4 * a

    return torch.cat([far(share + 1), near(share), near(1 - share), far(2 - share)], -1)


def _sample(found: Field, sides: list[_Side], made: tuple[int, ...]) -> Field:
    """The union over the taps of all axes; the arrays of the field are read as the tensor itself would be."""
    found = found.singles()
    batch = np.arange(made[0]).reshape(-1, *([1] * (len(made) - 2)))
    axes = [0, *range(2, len(made))]

    def read(seen: Bits) -> Bits:
        channels_last = np.moveaxis(seen, 1, -2)
        some = np.zeros((*made[:1], *made[2:], *channels_last.shape[-2:]), dtype=np.uint64)
        for choice in np.ndindex(*(side.read.shape[-1] for side in sides)):
            taps_of = list(zip(sides, choice, strict=True))
            places = [batch, *(side.positions[..., k].numpy() for side, k in taps_of)]
            key = tuple(np.minimum(each, seen.shape[axis] - 1) for each, axis in zip(places, axes, strict=True))
            counts = reduce(torch.logical_and, [side.read[..., k] for side, k in taps_of]).numpy()
            some |= np.where(counts[..., None, None], channels_last[key], np.uint64(0))
        return np.moveaxis(some, -2, 1)

    terms = tuple(term.mapped(lambda span: Span(read(span.seen), None, "sampled", span.along)) for term in found.terms)
    return Field((*dense(made[:1]), found.layout[1], *dense(made[2:])), terms, found.bounds).settled().compressed()


def embedding(q: Question) -> Field:
    """A row of a table for each index: what the index depends on, and any row of a table that depends on an input."""
    table, found = q.field(0), q.field(1)
    parts = [found.unsqueezed(len(found.layout)).broadcast(q.size())] if found.terms else []
    if table.terms:
        return q.as_bound(union([*parts, table.whole(q.size(), q.operation.target)], q.size()))
    return union(parts, q.size())


RULES: dict[str, Rule] = {
    "index_select": index_select,
    "index": index,
    "gather": gather,
    "take": take,
    "index_fill": index_fill,
    "embedding": embedding,
    **dict.fromkeys(("scatter", "scatter_add", "scatter_reduce"), scatter),
    **dict.fromkeys(("index_put", "_unsafe_index_put"), index_put),
    **dict.fromkeys(("index_add", "index_copy"), index_add),
    **dict.fromkeys(("max_unpool2d", "max_unpool3d"), max_unpool),
    **dict.fromkeys(("grid_sampler_2d", "grid_sampler_3d"), grid_sample),
}
