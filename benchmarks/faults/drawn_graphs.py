"""Receptive fields of drawn graphs, each held against what really happens when a row or a column of the image changes.

A graph is drawn from a seed: up to eight steps, each on tensors that came before, out of all kinds of convolution,
pooling, enlarging, folding, joining, moving, gating, normalising, and writing to parts in place. Then every row and
every column of its input is pushed up and pushed down in float64, one at a time; the units of the output that move are
those that look there. That is compared with `Anatomy.receptive_field` of units all over the map:

- exact: every run of rows and columns that was told is what moved, for each unit;
- bounded: the field says that it is a bound, and all that moved lies inside;
- wrong: anything else; raised: an exception that is not the tool's.

Where nobody could say which axis of a map its rows are, as of a diagonal, units are counted along those that the tool
takes.

Example: python benchmarks/faults/drawn_graphs.py --quick
"""

import argparse
import json
import random
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from convlens.anatomy import Anatomy, inspect

Map = torch.Tensor  # (1, C, H, W)
Step = Callable[..., Map]
Runs = tuple[tuple[int, int], ...]
_SMALLEST = 1e-12  # a change that is no rounding; maps are kept near 1


class Drawn(nn.Module):
    """A graph of drawn steps; each takes some of the tensors made before and makes one more."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        self.steps: list[tuple[Step, tuple[int, ...], float]] = []
        self.names: list[str] = []
        self.last: Callable[[Map], torch.Tensor] = _as_it_is

    def forward(self, x: Map) -> torch.Tensor:
        """Run the steps, each scaled by a constant so that no number runs away."""
        made = [x]
        for step, operands, scale in self.steps:
            made.append(step(*(made[each] for each in operands)) * scale)
        return self.last(made[-1])


@dataclass(frozen=True)
class Drawing:
    """What a step is drawn for: the chance, the graph that it becomes a part of, and maps as it will be given."""

    rng: random.Random
    net: Drawn
    maps: list[Map]

    def positive(self, layer: nn.Module) -> nn.Module:
        """The layer with positive weights, so that nothing cancels out, as a module of the graph."""
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.copy_(torch.rand_like(parameter) + 0.5)
        self.net.layers.append(layer.double().eval())
        return layer

    def groups(self, channels: int) -> int:
        """A number of groups that divides the channels."""
        return self.rng.choice([each for each in range(1, channels + 1) if channels % each == 0])


@dataclass(frozen=True)
class Kind:
    """One kind of step: how many maps it takes, and how to draw it for such maps; None where it does not fit."""

    operands: int
    draw: Callable[[Drawing], Step | None]


def draw(seed: int, kinds: Sequence[str] = ()) -> tuple[Drawn, tuple[int, ...], tuple[int, int]]:
    """A graph, its input's shape, and which axes of its output are rows and columns."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    shape = (rng.choice([1, 2, 3, 4]), rng.randint(5, 13), rng.randint(5, 13))
    net = Drawn()
    made = [torch.rand(1, *shape, dtype=torch.float64) + 0.5]
    names = sorted(kinds or KINDS)
    for _ in range(rng.randint(1, 8)):
        name = rng.choice(names)
        operands = tuple(rng.randrange(max(0, len(made) - 3), len(made)) for _ in range(KINDS[name].operands))
        step = KINDS[name].draw(Drawing(rng, net, [made[each] for each in operands]))
        if step is None:
            continue
        try:
            found = step(*(made[each].clone() for each in operands))
        except (RuntimeError, ValueError):
            continue  # no such layer fits such a map
        if (
            found.ndim != 4
            or not 1 <= found.numel() <= 8000
            or max(found.shape[2:]) > 30
            or found.dtype != made[0].dtype
        ):
            continue
        largest = float(found.abs().max())
        if not 1e-6 < largest < 1e9:
            continue
        net.steps.append((step, operands, 1 / largest))
        net.names.append(name)
        made.append(found / largest)
    if rng.random() < 0.15 and not _UNPLACED & set(net.names):
        net.last = _channels_last
    return net.double().eval(), shape, (1, 2) if net.last is _channels_last else (2, 3)


# after these the axes of a map may be both rows and columns, or neither, and nobody could tell which come first
_UNPLACED = {"diagonal", "turned", "reduced", "distances", "listed", "attention", "chosen", "adaptive_pool", "written"}
_UNPLACED |= {"joined_three", "split_apart"}


def _as_it_is(x: Map) -> Map:
    return x


def _channels_last(x: Map) -> torch.Tensor:
    return x.permute(0, 2, 3, 1)


# What moves


class Summed(TorchFunctionMode):
    """Maxima become sums over the same window, since a maximum hides what happens to the other elements."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do the same, but for pooling."""
        kwargs = kwargs or {}
        if func in (F.max_pool2d, torch.max_pool2d):
            kwargs.pop("return_indices", None)
            return _sum_pool(*args, **kwargs)
        if func is F.adaptive_max_pool2d:
            return F.adaptive_avg_pool2d(*args[:2])
        if func in (F.fractional_max_pool2d, torch.nn.functional.fractional_max_pool2d_with_indices):
            return _sum_fractional(*args, **kwargs)
        return torch.mean(*args, **kwargs) if func in (torch.amax, torch.Tensor.amax) else func(*args, **kwargs)


def _sum_pool(
    x: Map, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Map:
    with torch._C.DisableTorchFunction():  # type: ignore[attr-defined]
        shape = F.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode).shape
        sides = [each if isinstance(each, tuple) else (each, each) for each in (kernel, padding, dilation)]
        (height, width), (above, before), steps = sides
        x = F.pad(x, (before, before + 20, above, above + 20))
        ones = torch.ones(x.shape[1], 1, height, width, dtype=x.dtype) / (height * width)
        y = F.conv2d(x, ones, stride=stride or kernel, dilation=steps, groups=x.shape[1])
    return y[:, :, : shape[2], : shape[3]]


@torch.no_grad()
def moved(
    net: Drawn, shape: tuple[int, ...], places: tuple[int, int], sizes: Sequence[int] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """For rows and for columns of the input (H, *map) and (W, *map): whether a unit moved when that one was pushed.

    `places` are axes of the output, or of the output seen as `sizes`.
    """
    generator = torch.Generator().manual_seed(1)
    x = torch.rand((1, *shape), generator=generator, dtype=torch.float64) + 0.5

    def made(image: Map) -> torch.Tensor:
        return net(image).reshape(sizes) if sizes else net(image)

    with Summed():
        return _pushed(made, x, places, generator)


def _sum_fractional(x: Map, kernel: int, **given: Any) -> Map:
    """The sum over the same windows of 2 × 2; where they end is found by letting torch pool what only rises."""
    with torch._C.DisableTorchFunction():  # type: ignore[attr-defined]
        rising = torch.arange(float(x[0, 0].numel()), dtype=x.dtype).view(1, 1, *x.shape[2:]).expand_as(x).contiguous()
        last = F.fractional_max_pool2d(rising, kernel, **given).long().flatten(2)
        width, flat = x.shape[3], x.flatten(2)
        made = sum(0.25 * flat.gather(2, last - step) for step in (0, 1, width, width + 1))
    return made.view(*x.shape[:2], *given["output_size"])  # type: ignore[union-attr]


def _pushed(
    net: Callable[[Map], torch.Tensor], x: Map, places: tuple[int, int], generator: torch.Generator
) -> tuple[np.ndarray, np.ndarray]:
    there = net(x.clone())
    others = tuple(axis for axis in range(there.ndim) if axis not in places)
    answers = []
    for axis in (2, 3):
        found = []
        for index in range(x.shape[axis]):
            hit = torch.zeros([there.shape[each] for each in places], dtype=torch.bool)
            for low, high in ((1e5, 2e5), (1.0, 2.0), (-0.4, -0.2), (-2e5, -1e5)):
                pushed = x.clone()
                part = pushed.select(axis, index)
                part += torch.rand(part.shape, generator=generator, dtype=torch.float64) * (high - low) + low
                hit |= ((net(pushed) - there).abs() > _SMALLEST).any(others)
            found.append(hit.numpy())
        answers.append(np.stack(found))
    return answers[0], answers[1]


def runs(mask: np.ndarray) -> Runs:
    """The intervals in which a mask is set."""
    edges = np.diff(np.concatenate([[False], mask, [False]]).astype(int))
    return tuple(zip(np.flatnonzero(edges > 0).tolist(), (np.flatnonzero(edges < 0) - 1).tolist(), strict=True))


# What is told


def verdict(net: Drawn, shape: tuple[int, ...], places: tuple[int, int], most: int = 40) -> tuple[str, str]:
    """exact, holes, bounded or wrong, and where it is wrong."""
    sheet = inspect(net, shape)
    sizes: tuple[int, ...] = ()
    if _UNPLACED & set(net.names) and len((laid := sheet.receptive_fields.places("")).axes) == 2:
        places, sizes = (laid.axes[0], laid.axes[1]), laid.sizes
    seen = moved(net, shape, places, sizes)
    units = list(np.ndindex(*seen[0].shape[1:]))
    picked = units if len(units) <= most else [units[i * (len(units) - 1) // (most - 1)] for i in range(most)]
    answers = set()
    for unit in picked:
        told = sheet.receptive_field("", unit)
        measured = tuple(runs(side[(slice(None), *unit)]) for side in seen)
        inside = all(_inside(m, t) for m, t in zip(measured, told.runs, strict=True))
        if not (inside if told.bounds else told.runs == measured):
            return "wrong", f"unit {unit}: told {told.runs} {told.bounds}, measured {measured}"
        if told.exact != (not told.bounds and all(len(each) < 2 for each in measured)):
            return "wrong", f"unit {unit} has runs {measured} and exact is {told.exact}"
        answers.update(told.bounds)
    return ("bounded" if answers else "exact"), _regular(sheet, seen)


def _inside(measured: Runs, told: Runs) -> bool:
    return not measured or (bool(told) and told[0][0] <= measured[0][0] and measured[-1][1] <= told[-1][1])


def _regular(sheet: Anatomy, seen: Sequence[np.ndarray]) -> str:
    """Whether size, stride and offset, where they are told, give every unit whose region lies inside the image."""
    field = sheet.receptive_field()
    if not field.regular or field.bounds:
        return ""
    assert field.size is not None
    assert field.stride is not None
    assert field.offset is not None
    for axis, side in enumerate(seen):
        for unit in np.ndindex(*side.shape[1:]):
            middle = field.offset[axis] + field.stride[axis] * unit[axis]
            first, last = middle - (field.size[axis] - 1) / 2, middle + (field.size[axis] - 1) / 2
            measured = runs(side[(slice(None), *unit)])
            if (
                first >= 0
                and last < side.shape[0]
                and (not measured or (first, last) != (measured[0][0], measured[-1][1]))
            ):
                return f"pattern of axis {axis} gives {first}–{last} for unit {unit}, measured {measured}"
    return ""


def judged(seed: int, kinds: Sequence[str] = ()) -> tuple[str, str]:
    """The verdict on the graph of a seed: exact, bounded, wrong or raised, and what is wrong."""
    net, shape, places = draw(seed, kinds)
    try:
        word, detail = verdict(net, shape, places)
    except Exception:
        return "raised", f"seed {seed} {shape} {net.names}: {traceback.format_exc(limit=-3)}"
    if detail:
        return "wrong", f"seed {seed} {shape} {net.names}: {detail}"
    return word, ""


# The kinds of steps

KINDS: dict[str, Kind] = {}


def kind(operands: int = 1) -> Callable[[Callable[..., Step | None]], Callable[..., Step | None]]:
    """Enter a way to draw a step under the function's name."""

    def enter(way: Callable[..., Step | None]) -> Callable[..., Step | None]:
        KINDS[way.__name__] = Kind(operands, way)
        return way

    return enter


@kind()
def convolution(d: Drawing) -> Step:
    into = d.maps[0].shape[1]
    groups = d.groups(into) if d.rng.random() < 0.4 else 1
    return d.positive(
        nn.Conv2d(
            into,
            groups * d.rng.randint(1, max(1, 6 // groups)),
            (d.rng.randint(1, 4), d.rng.randint(1, 4)),
            stride=(d.rng.randint(1, 2), d.rng.randint(1, 3)),
            padding=(d.rng.randint(0, 3), d.rng.randint(0, 3)),
            dilation=(d.rng.randint(1, 3), d.rng.randint(1, 2)),
            groups=groups,
            padding_mode=d.rng.choice(["zeros", "zeros", "reflect", "replicate", "circular", "circular"]),
        ),
    )


@kind()
def same_convolution(d: Drawing) -> Step:
    into = d.maps[0].shape[1]
    mode = d.rng.choice(["zeros", "circular", "reflect"])
    return d.positive(nn.Conv2d(into, d.rng.randint(1, 5), 3, padding=1, padding_mode=mode))


@kind()
def transposed(d: Drawing) -> Step:
    into = d.maps[0].shape[1]
    groups = d.groups(into) if d.rng.random() < 0.3 else 1
    stride = (d.rng.randint(1, 3), d.rng.randint(1, 3))
    return d.positive(
        nn.ConvTranspose2d(
            into,
            groups * d.rng.randint(1, 2),
            (d.rng.randint(1, 4), d.rng.randint(1, 3)),
            stride=stride,
            padding=(d.rng.randint(0, 1), d.rng.randint(0, 1)),
            output_padding=(d.rng.randrange(stride[0]), d.rng.randrange(stride[1])),
            groups=groups,
            dilation=d.rng.randint(1, 2),
        ),
    )


@kind()
def constant_kernel(d: Drawing) -> Step:
    """A kernel of constants, many of them zero: a shift, a row of Sobel's, a mask of learned weights."""
    into = d.maps[0].shape[1]
    kernel = torch.rand(d.rng.randint(1, 3), into, d.rng.randint(1, 3), d.rng.randint(1, 4), dtype=torch.float64) + 0.5
    kernel *= torch.rand(kernel.shape) < d.rng.choice([0.2, 0.5, 0.9])
    padding, stride, transposed_ = d.rng.randint(0, 2), d.rng.randint(1, 2), d.rng.random() < 0.3
    if transposed_:
        kernel = kernel.transpose(0, 1).contiguous()
    slide = F.conv_transpose2d if transposed_ else F.conv2d
    return lambda x: slide(x, kernel.to(x.dtype), stride=stride, padding=padding)


@kind()
def masked_kernel(d: Drawing) -> Step:
    layer = d.positive(nn.Conv2d(d.maps[0].shape[1], d.rng.randint(1, 3), 3, padding=1))
    mask = torch.ones(3, 3, dtype=torch.float64)
    mask[1, d.rng.randint(1, 2) :] = 0
    mask[2:] = 0
    return lambda x: F.conv2d(x, layer.weight * mask, layer.bias, padding=1)


@kind()
def pool(d: Drawing) -> Step:
    kernel = (d.rng.randint(1, 4), d.rng.randint(1, 3))
    stride, ceil = d.rng.choice([None, 1, 2, (2, 1), 3]), d.rng.random() < 0.4
    padding = tuple(d.rng.randint(0, side // 2) for side in kernel)
    if d.rng.random() < 0.5:
        return nn.MaxPool2d(kernel, stride, padding, dilation=d.rng.randint(1, 2), ceil_mode=ceil)
    return nn.AvgPool2d(kernel, stride, padding, ceil_mode=ceil, count_include_pad=d.rng.random() < 0.5)


@kind()
def adaptive_pool(d: Drawing) -> Step:
    size = tuple(d.rng.choice([1, d.rng.randint(1, 9)]) for _ in range(2))
    return d.rng.choice([nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d])(size)


@kind()
def fractional_pool(d: Drawing) -> Step:
    samples = torch.rand(1, d.maps[0].shape[1], 2, dtype=torch.float64)
    size = tuple(d.rng.randint(1, max(1, side - 2)) for side in d.maps[0].shape[2:])
    return lambda x: F.fractional_max_pool2d(x, 2, output_size=size, _random_samples=samples.to(x.dtype))


@kind()
def resized(d: Drawing) -> Step:
    mode = d.rng.choice(["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
    more: dict[str, Any] = {"mode": mode}
    if mode in ("bilinear", "bicubic"):
        more["align_corners"] = d.rng.random() < 0.5
        more["antialias"] = d.rng.random() < 0.3
    if d.rng.random() < 0.5:
        more["scale_factor"] = d.rng.choice([1, 2, 3, 0.5, 1.05, 1.5, 0.7, (2, 1), (1.04, 1.04)])
        if mode != "area":
            more["recompute_scale_factor"] = d.rng.random() < 0.3
    else:
        more["size"] = tuple(d.rng.choice([side, d.rng.randint(2, 17)]) for side in d.maps[0].shape[2:])
    return lambda x: F.interpolate(x, **more)


@kind()
def shuffled(d: Drawing) -> Step | None:
    channels, height, width = d.maps[0].shape[1:]
    groups = d.groups(channels)
    fitting: list[Step] = [lambda x: F.channel_shuffle(x, groups)]
    if channels % 4 == 0:
        fitting.append(lambda x: F.pixel_shuffle(x, 2))
    if height % 2 == width % 2 == 0:
        fitting.append(lambda x: F.pixel_unshuffle(x, 2))
    return d.rng.choice(fitting)


@kind()
def widened(d: Drawing) -> Step:
    """More channels by four, so that pixels can be shuffled out of them."""
    layer = d.positive(nn.Conv2d(d.maps[0].shape[1], 4, d.rng.choice([1, 3])))
    return lambda x: F.pixel_shuffle(layer(x), 2)


@kind()
def padded(d: Drawing) -> Step:
    mode = d.rng.choice(["constant", "reflect", "replicate", "circular"])
    low = -2 if mode in ("constant", "replicate") else 0  # torch copies what it did not write where circular ones crop
    amounts = tuple(d.rng.randint(low, 3) for _ in range(4))
    return lambda x: F.pad(x, amounts, mode=mode)


@kind()
def folded(d: Drawing) -> Step:
    height, width = d.maps[0].shape[2:]
    kernel, dilation = (d.rng.randint(1, 3), d.rng.randint(1, 3)), d.rng.randint(1, 2)
    padding, stride = d.rng.randint(0, 1), d.rng.randint(1, 2)
    places = [
        (s + 2 * padding - dilation * (k - 1) - 1) // stride + 1 for s, k in zip((height, width), kernel, strict=True)
    ]
    if d.rng.random() < 0.5:
        return lambda x: F.unfold(x, kernel, dilation, padding, stride).view(1, -1, *places)
    return lambda x: F.fold(
        F.unfold(x, kernel, dilation, padding, stride), (height, width), kernel, dilation, padding, stride
    )


@kind()
def patches(d: Drawing) -> Step:
    size, step = d.rng.randint(1, 3), d.rng.randint(1, 3)
    if d.rng.random() < 0.5:
        return lambda x: x.unfold(2, size, step).unfold(3, 2, 1).amax((4, 5))
    return lambda x: x.unfold(3, size, step).movedim(4, 1).flatten(1, 2)


@kind(2)
def joined(d: Drawing) -> Step:
    axis = d.rng.choice([1, 1, 2, 3])
    return lambda x, y: torch.cat(_cropped(x, y, axis), axis)


@kind(3)
def joined_three(d: Drawing) -> Step:
    axis = d.rng.choice([1, 2, 3])

    def join(x: Map, y: Map, z: Map) -> Map:
        x, y = _cropped(x, y, axis)
        x, z = _cropped(x, z, axis)
        y, z = _cropped(y, z, axis)
        return torch.cat([x, y, z], axis)

    return join


def _cropped(x: Map, y: Map, but: int = 0) -> tuple[Map, Map]:
    for axis in (1, 2, 3):
        if axis != but:
            size = min(x.shape[axis], y.shape[axis])
            x, y = x.narrow(axis, 0, size), y.narrow(axis, y.shape[axis] - size, size)
    return x, y


@kind(2)
def stacked(d: Drawing) -> Step:
    axis = d.rng.choice([1, 2, 3, 4])

    def stack(x: Map, y: Map) -> Map:
        made = torch.stack(_cropped(x, y), axis)
        return made.flatten(axis, axis + 1) if axis < 4 else made.sum(4)

    return stack


@kind(2)
def summed(d: Drawing) -> Step:
    how = d.rng.choice(["add", "mul", "sub", "max", "div", "div_by_mean"])

    def combine(x: Map, y: Map) -> Map:
        x, y = _cropped(x, y)
        match how:
            case "add":
                return x + 0.7 * y
            case "mul":
                return x * (y + 0.1)
            case "sub":
                return torch.sub(x, y, alpha=0.37)
            case "max":
                return torch.logaddexp(x, y)
            case "div":
                return x / (y.abs() + 2)
        return x / (y.mean((2, 3), keepdim=True).abs() + 1)

    return combine


@kind()
def sliced(d: Drawing) -> Step:
    axis = d.rng.choice([1, 2, 3])
    size = d.maps[0].shape[axis]
    start, stop = sorted(d.rng.sample(range(size + 1), 2))
    step = d.rng.randint(1, 3)
    return lambda x: x[(slice(None),) * axis + (slice(start, stop, step),)]


@kind()
def listed(d: Drawing) -> Step:
    axis = d.rng.choice([1, 2, 3])
    index = torch.tensor([d.rng.randrange(d.maps[0].shape[axis]) for _ in range(d.rng.randint(1, 5))])
    how = d.rng.choice(["list", "select", "gather", "both", "take"])
    if how == "list":
        return lambda x: x[(slice(None),) * axis + (index.tolist(),)]
    if how == "select":
        return lambda x: x.index_select(axis, index)
    if how == "gather":
        shape = list(d.maps[0].shape)
        shape[axis] = len(index)
        form = [1, 1, 1, 1]
        form[axis] = len(index)
        return lambda x: x.gather(axis, index.view(form).expand(shape))
    if how == "both":
        rows = torch.tensor([[d.rng.randrange(d.maps[0].shape[2])] for _ in range(3)])
        columns = torch.tensor([[d.rng.randrange(d.maps[0].shape[3]) for _ in range(2)]])
        return lambda x: x[:, :, rows, columns]
    places = torch.tensor([d.rng.randrange(d.maps[0].numel()) for _ in range(12)]).view(1, 1, 3, 4)
    return lambda x: x.take(places)


@kind()
def turned(d: Drawing) -> Step:
    dims = d.rng.choice([(2,), (3,), (2, 3), (1,), (1, 2)])
    shifts = tuple(d.rng.randint(-4, 4) for _ in dims)
    return d.rng.choice(
        [
            lambda x: x.flip(dims),
            lambda x: x.roll(shifts, dims),
            lambda x: x.roll(shifts[0]),
            lambda x: torch.rot90(x, shifts[0], (2, 3)),
            lambda x: x.transpose(2, 3),
            lambda x: x.repeat(1, 2, 1, 2),
            lambda x: x.repeat_interleave(2, dims[0]),
            lambda x: x.flip(dims).roll(shifts, dims),
            lambda x: x.tril(shifts[0]),
            lambda x: x.triu(shifts[0]),
            lambda x: x.contiguous(memory_format=torch.channels_last),
            lambda x: torch.tile(x, (2, 1)),
        ]
    )


@kind()
def diagonal(d: Drawing) -> Step:
    offset = d.rng.randint(-2, 2)
    return d.rng.choice(
        [
            lambda x: x.diagonal(offset, 2, 3).unsqueeze(2),
            lambda x: torch.diag_embed(x.diagonal(offset, 2, 3)),
            lambda x: torch.diagonal_copy(x, offset, 2, 3).unsqueeze(3),
        ]
    )


@kind()
def split_apart(d: Drawing) -> Step:
    axis = d.rng.choice([1, 2, 3])
    size = d.maps[0].shape[axis]
    return d.rng.choice(
        [
            lambda x: torch.cat(x.split(2, axis)[::-1], axis),
            lambda x: torch.stack(x.unbind(axis)[::-1], axis),
            lambda x: torch.cat([x.chunk(2, axis)[-1], x.chunk(2, axis)[0]], 1 if size % 2 == 0 else axis),
            lambda x: x.tensor_split(2, axis)[1],
            lambda x: x.select(axis, size // 2).unsqueeze(axis),
            lambda x: x.narrow(axis, size // 2, 1).expand_as(x),
        ]
    )


@kind()
def window(d: Drawing) -> Step | None:
    channels, height, width = d.maps[0].shape[1:]
    rows, columns = (d.rng.choice([d for d in range(1, side + 1) if side % d == 0]) for side in (height, width))

    def mixed(x: Map) -> Map:
        tiles = x.view(1, channels, height // rows, rows, width // columns, columns).permute(0, 2, 4, 3, 5, 1)
        tokens = tiles.reshape(-1, rows * columns, channels)
        weights = (tokens @ tokens.transpose(1, 2)).softmax(-1)
        back = (weights @ tokens + tokens).view(1, height // rows, width // columns, rows, columns, channels)
        return back.permute(0, 5, 1, 3, 2, 4).reshape(1, channels, height, width)

    return mixed


@kind()
def reshaped(d: Drawing) -> Step:
    channels, height, width = d.maps[0].shape[1:]
    return d.rng.choice(
        [
            lambda x: x.flatten(2).view(1, channels, height, width) * 2,
            lambda x: x.permute(0, 2, 3, 1).flatten(1, 2).transpose(1, 2).reshape(1, channels, height, width),
            lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
            lambda x: x.flatten(1)[None, :, None, :].view(1, channels, height, width) + 1,
        ]
    )


@kind(2)
def written(d: Drawing) -> Step:
    """A write in place to a part of a copy."""
    sides = [min(a, b) for a, b in zip(d.maps[0].shape, d.maps[1].shape, strict=True)]
    parts = []
    for side in sides[1:]:
        start, stop = sorted(d.rng.sample(range(side + 1), 2))
        parts.append(d.rng.choice([slice(None, side), slice(start, stop), slice(start, stop, 2)]))
    key = (slice(None), *parts)
    row, column, channel = (d.rng.randrange(sides[i]) for i in (2, 3, 1))
    how = d.rng.choice(["set", "add", "mul", "row", "copy", "view", "fill", "turned", "masked", "relu", "chain", "put"])

    def write(x: Map, y: Map) -> Map:
        z = x.clone()
        match how:
            case "set":
                z[key] = y[key]
            case "add":
                z[key] += y[key]
            case "mul":
                z[key].mul_(y[key] + 0.5)
            case "row":
                z[:, :, row] = y[:, : z.shape[1], row, : z.shape[3]].mean()
            case "copy":
                z.transpose(2, 3)[:, channel, : sides[3], : sides[2]].copy_(y[:, channel, : sides[2], : sides[3]].mT)
            case "view":
                z.view(1, z.shape[1], -1)[:, channel, : sides[3]] = y[:, channel, row, : sides[3]]
            case "fill":
                z[:, channel, row:] = 0.25
                z[..., column].zero_()
            case "turned":
                z.flatten(2)[..., row::2] *= 0.5
                z[:, channel].t_() if False else z[:, channel].add_(1)
            case "masked":
                z.masked_fill_(torch.arange(z.shape[3]) % 3 == 0, 0.3)
            case "relu":
                z[:, :, row:].sigmoid_()
            case "chain":
                seen = z[:, :, row:]
                seen[..., column:] = y[:, :1, row : row + 1, column : column + 1]
                z[:, channel] += seen.mean()
            case "put":
                z[:, channel, [row, 0], [0, column]] = y[:, channel, row, column]
        return z

    return write


@kind()
def pooled_gate(d: Drawing) -> Step:
    return d.rng.choice(
        [
            lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)),
            lambda x: torch.addcmul(x, x, x.mean((2, 3), keepdim=True)),
            lambda x: torch.lerp(x, 0.6 * x.flip(2), torch.sigmoid(x.mean((2, 3), keepdim=True))),
            lambda x: (x.abs() + 1.5) ** (x.mean((1, 2, 3), keepdim=True) + 1),
            lambda x: x * torch.sigmoid(x.mean(1, keepdim=True)),
            lambda x: F.glu(torch.cat([x, x.roll(1, 2)], 1), 1),
        ]
    )


@kind()
def reduced(d: Drawing) -> Step:
    axis = d.rng.choice([1, 2, 3])
    return d.rng.choice(
        [
            lambda x: x.mean(axis, keepdim=True),
            lambda x: x + x.mean(axis, keepdim=True),
            lambda x: x.sum(axis, keepdim=True).expand_as(x),
            lambda x: x.logsumexp(axis, keepdim=True) * x,
            lambda x: x.cumsum(axis),
            lambda x: x.cumsum(axis).flip(axis),
            lambda x: x.pow(2).sum(axis).sqrt().unsqueeze(axis),
            lambda x: x.mean((2, 3))[..., None, None] + x,
            lambda x: torch.cat([x[..., :3].mean(3, keepdim=True), x.mean(3, keepdim=True)], 2),
        ]
    )


@kind()
def normalised(d: Drawing) -> Step | None:
    channels, height, width = d.maps[0].shape[1:]
    if height * width < 4 or channels < 2:
        return None
    groups = d.groups(channels // 2) if channels % 2 == 0 else 1
    layer = d.positive(nn.BatchNorm2d(channels))
    return d.rng.choice(
        [
            lambda x: F.group_norm(x, groups) + x,
            lambda x: F.instance_norm(x) + x,
            lambda x: F.layer_norm(x.permute(0, 2, 3, 1), (channels,)).permute(0, 3, 1, 2) + x,
            lambda x: (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), keepdim=True) + 1e-3).sqrt() + x,
            lambda x: F.local_response_norm(x, 3, alpha=0.7),
            lambda x: F.normalize(x, dim=1) + x,
            lambda x: F.rms_norm(x, (width,)) + x,
            layer,
        ]
    )


@kind()
def attention(d: Drawing) -> Step:
    channels, height, width = d.maps[0].shape[1:]
    far = (torch.arange(height)[:, None] - torch.arange(height)).abs() > d.rng.randint(0, 3)
    bias = torch.where(far, -torch.inf, 0.0).double()
    how = d.rng.choice(["tokens", "rows", "causal", "banded", "axis", "einsum"])

    ramp = (
        1 + torch.arange(height).double()[:, None] / 7
    )  # rows that are equal would have equal weights, and a mean that none changes

    def attend(x: Map) -> Map:
        rows = x.permute(0, 2, 1, 3).flatten(2)
        values = rows * ramp.to(x.dtype)
        match how:
            case "tokens":
                tokens = x.flatten(2).transpose(1, 2)
                ramped = (x * ramp.to(x.dtype)).flatten(2).transpose(1, 2)
                mixed = F.scaled_dot_product_attention(tokens / 9, ramped, ramped).transpose(1, 2)
                return mixed.reshape(1, channels, height, width)
            case "rows":
                mixed = (rows @ values.transpose(1, 2) / 40 + bias.to(x.dtype)).softmax(-1) @ values
            case "causal":
                one, other = rows[:, None] / 9, values[:, None]  # softly: a weight of nearly 1 hides the others
                mixed = F.scaled_dot_product_attention(one, other, other, is_causal=True)[:, 0]
            case "banded":
                mixed = (~far).to(x.dtype) @ rows
            case "axis":
                return (x.softmax(3) @ x.transpose(2, 3)) @ x
            case _:
                return torch.einsum("bchw,hk->bckw", x, torch.ones(height, 3, dtype=x.dtype).tril())
        return mixed.view(1, height, channels, width).transpose(1, 2)

    return attend


@kind()
def chosen(d: Drawing) -> Step:
    height, width = d.maps[0].shape[2:]
    mask = torch.rand(height, width, generator=torch.Generator().manual_seed(d.rng.randrange(999))) < 0.5
    grid = torch.rand(1, 4, 5, 2, dtype=torch.float64) * 2.4 - 1.2
    mode = d.rng.choice(["bilinear", "nearest", "bicubic"])
    border = d.rng.choice(["zeros", "border", "reflection"])
    return d.rng.choice(
        [
            lambda x: torch.where(mask, x, x.flip(2)),
            lambda x: x * mask.to(x.dtype),
            lambda x: x.masked_fill(mask, 0.5),
            lambda x: F.grid_sample(x, grid.to(x.dtype), mode, border, align_corners=False),
            lambda x: x.scatter(3, torch.zeros(1, 1, 2, 1, dtype=torch.long), x[:, :1, :2, 1:2]),
            lambda x: x.scatter_add(2, torch.zeros_like(x, dtype=torch.long)[:, :, :2], x[:, :, -2:]),
            lambda x: x.index_add(2, torch.tensor([0, 1]), x[:, :, -2:]),
            lambda x: x.slice_scatter(x[:, :, :1] * 2, 2, 1, 2),
            lambda x: x.select_scatter(x[:, :, 0] * 2, 2, height - 1),
        ]
    )


@kind(2)
def distances(d: Drawing) -> Step:
    layer = d.positive(nn.Bilinear(d.maps[0].shape[3], d.maps[1].shape[3], 4))

    def compare(x: Map, y: Map) -> Map:
        x, y = x[:, :1], y[:, :1]
        rows = min(x.shape[2], y.shape[2])
        if how == "bilinear":
            return layer(x[:, :, :rows], y[:, :, :rows])
        width = min(x.shape[3], y.shape[3])
        return torch.cdist(1.7 * x[..., :width] + 2, y[..., :width], p=power)

    how, power = d.rng.choice(["bilinear", "cdist"]), d.rng.choice([1.0, 2.0, 3.0])
    return compare


@kind()
def pointwise(d: Drawing) -> Step:
    slope = torch.rand(d.maps[0].shape[1], dtype=torch.float64) * 0.5 + 0.2
    return d.rng.choice(
        [
            torch.tanh,
            F.silu,
            F.softplus,
            F.gelu,
            lambda x: F.prelu(x, slope.to(x.dtype)),
            lambda x: x.clone().mul_(2).add_(0.1),
            lambda x: x.square() + x,
            lambda x: x.to(torch.float64).detach() * 1.5,
            lambda x: F.softmax(x, 1) + x,
            lambda x: F.dropout(x, 0.5, training=False) + 1,
        ]
    )


def main() -> int:
    """Judge graphs and print how many were exact, bounded, wrong, raised; exit code 1 if one was wrong or raised."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=5000, help="graphs to draw (default: 5000)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first (default: 0)")
    parser.add_argument("--quick", action="store_true", help="100 graphs, under a minute")
    parser.add_argument("--only", default="", help="names of the kinds of steps, with commas between; all by default")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    count = 100 if given.quick else given.count
    kinds = [each for each in given.only.split(",") if each]
    start, counts, faults = time.perf_counter(), Counter[str](), []
    for seed in range(given.first, given.first + count):
        word, detail = judged(seed, kinds)
        counts[word] += 1
        if word in ("wrong", "raised"):
            faults.append(detail)
            print(f"{word}: {detail}", file=sys.stderr, flush=True)
    answer = {"drawn graphs": count, **{word: counts[word] for word in ("exact", "bounded", "wrong", "raised")}}
    if given.json:
        print(json.dumps(answer | {"seconds": round(time.perf_counter() - start, 1)}))
    else:
        print(", ".join(f"{name} {number}" for name, number in answer.items()))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
