"""What is chosen for speed and touches results: found by timing, written into the run, kept when it is resumed."""

import copy
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from convlens.training.step import Chosen, Step

_CLEARLY_FASTER = 1.15  # below that, timing noise would decide
_TIMED_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """Device, threads, memory format and precision; `milliseconds` holds what a step took in each precision tried."""

    device: str
    threads: int
    precision: Chosen
    memory_format: str = "channels_last"
    milliseconds: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Give the numerics as plain values."""
        return asdict(self)


def choose_numerics(network: nn.Module, x_NCHW: torch.Tensor, y_N: torch.Tensor, wanted: str, step: Step) -> Numerics:
    """Choose the precision: the one wanted or, for auto, bfloat16 if a few timed steps on a batch show that it pays.

    Args:
        network: on its device, in its memory format; it is copied, so that the trials leave no trace.
        x_NCHW: a batch of the real shape.
        y_N: its labels.
        wanted: auto, float32 or bfloat16.
        step: the step that training will do.
    """
    device = x_NCHW.device
    milliseconds: dict[str, float] = {}
    precision: Chosen = "bfloat16" if wanted == "bfloat16" else "float32"
    if wanted == "auto" and has_bfloat16(device):
        milliseconds = _time_both(network, x_NCHW, y_N, step)
        if milliseconds["bfloat16"] * _CLEARLY_FASTER < milliseconds["float32"]:
            precision = "bfloat16"
    return Numerics(device=str(device), threads=torch.get_num_threads(), precision=precision, milliseconds=milliseconds)


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 itself, rather than by converting."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return device.type == "cpu" and supported is not None and bool(supported())


def prepare_device(device: torch.device) -> None:
    """Switch on what makes a GPU fast: TF32 products, and cuDNN's search for its best algorithm."""
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True


@contextmanager
def threads_of(numerics: Mapping[str, Any]) -> Iterator[None]:
    """Compute with as many threads as the run began with: sums of floats depend on how they are divided."""
    before = torch.get_num_threads()
    torch.set_num_threads(numerics["threads"])
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _time_both(network: nn.Module, x_NCHW: torch.Tensor, y_N: torch.Tensor, step: Step) -> dict[str, float]:
    """The fastest of a few interleaved steps in each precision, in milliseconds."""
    trials = {
        precision: Step(label_smoothing=step.label_smoothing, clip_norm=step.clip_norm, precision=precision)
        for precision in ("float32", "bfloat16")
    }
    copies = {name: copy.deepcopy(network).train() for name in trials}
    optimizers = {name: torch.optim.SGD(copies[name].parameters(), lr=1e-6) for name in trials}
    fastest = dict.fromkeys(trials, float("inf"))
    for round_ in range(_TIMED_STEPS + 1):
        for name, trial in trials.items():
            started = time.perf_counter()
            trial(copies[name], optimizers[name], x_NCHW, y_N)
            if x_NCHW.device.type == "cuda":
                torch.cuda.synchronize(x_NCHW.device)
            if round_:  # the first one also compiles kernels and allocates memory
                fastest[name] = min(fastest[name], (time.perf_counter() - started) * 1000)
    return {name: round(value, 3) for name, value in fastest.items()}
