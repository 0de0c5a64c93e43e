"""Rows of layers on PyTorch, which runs them one after the other, each timed alone."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convlens.calibrating.sampling import Layer
from convlens.calibrating.workload import Work

Run = Callable[..., Any]
_TURNS, _PASSES = 6, 3


class EagerRow:
    """A row of layers, laid out as `predicting.torch_predictor` lays networks out: channels last.

    Args:
        layers: the row.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = layers
        self._runs = [_BUILDERS[layer.work.family](layer) for layer in layers]
        self._images: dict[Work, Tensor] = {}  # what goes in, for each layer that takes it
        self._readers = [0] * len(layers)
        for layer in layers:
            for number in layer.inputs:
                if number >= 0:
                    self._readers[number] += 1

    def time(self) -> list[float]:
        """Milliseconds of processor time that each layer takes in one pass."""
        made: dict[int, Tensor] = {}
        waiting = self._readers.copy()
        taken = []
        for number, (layer, run) in enumerate(zip(self.layers, self._runs, strict=True)):
            given = [made[each] if each >= 0 else self._image(layer.work) for each in layer.inputs]
            for each in layer.inputs:  # as in a network, a map is freed when its last reader has read it
                if each >= 0:
                    waiting[each] -= 1
                    if not waiting[each]:
                        del made[each]
            begin = time.thread_time()
            result = run(*given)
            given.clear()
            taken.append((time.thread_time() - begin) * 1000)
            made[number] = result
            del result
        return taken

    def training_step(self) -> float:
        """Milliseconds of processor time of a pass forward and one backward, with the norms in training mode."""
        made: dict[int, Tensor] = {}
        for run in self._runs:
            if isinstance(run, nn.Module):
                run.train()
        begin = time.thread_time()
        for number, (layer, run) in enumerate(zip(self.layers, self._runs, strict=True)):
            made[number] = run(*(made[each] if each >= 0 else self._image(layer.work) for each in layer.inputs))
        made[len(self.layers) - 1].sum().backward()  # type: ignore[no-untyped-call]
        return (time.thread_time() - begin) * 1000

    def _image(self, work: Work) -> Tensor:
        if work not in self._images:
            image = torch.rand(work.batch, work.channels[0], *work.before)
            self._images[work] = image.contiguous(memory_format=torch.channels_last)
        return self._images[work]


def time_rows(
    rows: Sequence[Sequence[Layer]], seconds: float, on_note: Callable[[float], None] | None = None
) -> tuple[list[list[float]], float]:
    """Time each layer of each row on one core.

    All rows have a turn before the next turn begins, so that what disturbs a row once does not disturb it again.

    Args:
        rows: of layers.
        seconds: after which no further turn begins, unless it is the first; at most six are taken.
        on_note: told the share of `seconds` that has gone.

    Returns:
        the milliseconds of each layer, the shortest of all turns and of three passes in each; and how many times longer
        a row takes in its shortest pass than the sum of these, the median over the rows.
    """
    best = [[float("inf")] * len(row) for row in rows]
    whole = [float("inf")] * len(rows)
    begin, turns, turn_seconds = time.perf_counter(), 0, 0.0
    with _one_core(), torch.inference_mode():
        while turns == 0 or (turns < _TURNS and time.perf_counter() - begin + turn_seconds < seconds):
            began = time.perf_counter()
            for number, layers in enumerate(rows):
                row = EagerRow(layers)
                row.time()
                for _ in range(_PASSES):
                    taken = row.time()
                    best[number] = list(map(min, best[number], taken))
                    whole[number] = min(whole[number], sum(taken))
                if on_note:
                    on_note(min(1.0, (time.perf_counter() - begin) / seconds))
            turns, turn_seconds = turns + 1, time.perf_counter() - began
    return best, median(longer / sum(each) for longer, each in zip(whole, best, strict=True))


def training_factor(rows: Sequence[Sequence[Layer]], batch: int = 8, repeats: int = 2) -> float:
    """How many times longer a training step takes for an image of a batch than inference of one; median over rows."""
    factors = []
    with _one_core():
        for layers in rows:
            many = [replace(layer, work=replace(layer.work, batch=batch)) for layer in layers]
            alone, together = EagerRow(layers), EagerRow(many)
            with torch.inference_mode():
                single = min(sum(alone.time()) for _ in range(repeats + 1))
            factors.append(min(together.training_step() for _ in range(repeats)) / batch / single)
    return median(factors)


@contextmanager
def _one_core() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def padding_of(work: Work) -> tuple[int, int]:
    """The padding that gives the map after, the same on both sides."""
    pads = []
    for axis in (0, 1):
        missing = (work.after[axis] - 1) * work.stride[axis] + work.kernel[axis] - work.before[axis]
        pads.append(max(0, -(-missing // 2)))
    return pads[0], pads[1]


def _filled(module: nn.Module) -> nn.Module:
    made = module.to_empty(device="cpu").eval()
    for tensor in (*made.parameters(), *made.buffers()):
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.01, 0.05)
    return made.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _convolution(layer: Layer) -> Run:
    work = layer.work
    module = nn.Conv2d(
        *work.channels, work.kernel, work.stride, padding_of(work), groups=work.groups, bias=False, device="meta"
    )
    return _filled(module)


def _linear(layer: Layer) -> Run:
    module = _filled(nn.Linear(*layer.work.channels, device="meta"))
    return lambda x: module(x.flatten(1))


def _norm(layer: Layer) -> Run:
    channels = layer.work.channels[0]
    if layer.work.kind == "layer":
        module = _filled(nn.LayerNorm(channels, device="meta"))
        return lambda x: module(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return _filled(nn.BatchNorm2d(channels, device="meta"))


_ACTIVATIONS: dict[str, Callable[[bool], nn.Module]] = {
    "relu": nn.ReLU,
    "hardtanh": nn.ReLU6,
    "leaky_relu": lambda in_place: nn.LeakyReLU(inplace=in_place),
    "hardswish": nn.Hardswish,
    "hardsigmoid": nn.Hardsigmoid,
    "silu": nn.SiLU,
    "sigmoid": lambda _: nn.Sigmoid(),
    "gelu": lambda _: nn.GELU(),
    "tanh": lambda _: nn.Tanh(),
}


def _activation(layer: Layer) -> Run:
    return _ACTIVATIONS[layer.work.kind](layer.work.in_place).eval()


def _binary(layer: Layer) -> Run:
    if layer.work.kind == "same":
        return lambda x, y: x + y
    return (lambda x, y: x * y) if layer.work.kind == "channel" else lambda x: x * 0.5


def _global(_: Layer) -> Run:
    return nn.AdaptiveAvgPool2d(1)


def _pool(layer: Layer) -> Run:
    work = layer.work
    kind = nn.MaxPool2d if work.kind == "max" else nn.AvgPool2d
    high, wide = (min(pad, side // 2) for pad, side in zip(padding_of(work), work.kernel, strict=True))
    return kind(work.kernel, work.stride, (high, wide))


def _moved(layer: Layer) -> Run:
    work = layer.work
    if work.kind == "join":
        return lambda *parts: torch.cat(parts, 1)
    if work.kind in ("nearest", "bilinear"):
        return lambda x: F.interpolate(x, work.after, mode=work.kind)
    if work.kind == "pad":
        return lambda x: F.pad(x, (1, 1, 1, 1))
    return lambda x: x.clone()


_BUILDERS: dict[str, Callable[[Layer], Run]] = {
    "dense": _convolution,
    "pointwise": _convolution,
    "depthwise": _convolution,
    "grouped": _convolution,
    "linear": _linear,
    "norm": _norm,
    "activation": _activation,
    "binary": _binary,
    "global": _global,
    "pool": _pool,
    "moved": _moved,
}
