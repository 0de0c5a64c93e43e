"""What is chosen for speed and touches results: found by timing, written into the run, kept when it is resumed."""

import copy
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from convlens.training.config import TrainConfig
from convlens.training.depthwise import fast_depthwise
from convlens.training.step import Chosen, Step

Trial = tuple[Chosen, int]  # precision, threads

_CLEARLY_FASTER = 1.15  # below that, timing noise would decide
_TIMED_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """How a training computes; `milliseconds` holds what a step took in each trial."""

    device: str
    threads: int
    precision: Chosen
    memory_format: str = "channels_last"
    depthwise: str = "torch"
    milliseconds: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Give the numerics as plain values."""
        return asdict(self)


def choose_numerics(
    network: nn.Module, x_NCHW: torch.Tensor, y_N: torch.Tensor, config: TrainConfig, step: Step
) -> Numerics:
    """Choose precision and threads: those that the configuration names or, where it leaves it open, by timing.

    Args:
        network: on its device, in its memory format; it is copied, so that the trials leave no trace.
        x_NCHW: a batch of the real shape.
        y_N: its labels.
        config: what is named.
        step: the step that training will do.
    """
    device, all_threads = x_NCHW.device, torch.get_num_threads()
    threads = [config.threads] if config.threads else [all_threads]
    if config.tune and not config.threads and device.type == "cpu" and all_threads > 1:
        threads = [1, all_threads]
    precisions: list[Chosen] = ["bfloat16"] if config.precision == "bfloat16" else ["float32"]
    if config.tune and config.precision == "auto" and has_bfloat16(device):
        precisions = ["float32", "bfloat16"]
    trials = [(precision, number) for number in threads for precision in precisions]
    milliseconds = _time(trials, network, x_NCHW, y_N, step) if len(trials) > 1 else {}
    chosen = trials[0]
    for trial in trials[1:]:
        if milliseconds[trial] * _CLEARLY_FASTER < milliseconds[chosen]:
            chosen = trial
    return Numerics(
        device=str(device),
        threads=chosen[1],
        precision=chosen[0],
        depthwise=_depthwise(network, device, chosen[0]),
        milliseconds={_name(*trial): round(value, 3) for trial, value in milliseconds.items()},
    )


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


def _time(
    trials: Sequence[Trial], network: nn.Module, x_NCHW: torch.Tensor, y_N: torch.Tensor, step: Step
) -> dict[Trial, float]:
    """The fastest of a few interleaved steps for each trial, in milliseconds."""
    copied = copy.deepcopy(network).train()
    optimizer = torch.optim.SGD(copied.parameters(), lr=1e-6, fused=True)
    fastest = dict.fromkeys(trials, float("inf"))
    for round_ in range(_TIMED_STEPS + 1):
        for trial in trials:
            precision, threads = trial
            with threads_of({"threads": threads}), fast_depthwise(copied):
                started = time.perf_counter()
                step.in_precision(precision)(copied, optimizer, x_NCHW, y_N)
                if x_NCHW.device.type == "cuda":
                    torch.cuda.synchronize(x_NCHW.device)
                if round_:  # the first one also compiles kernels and allocates memory
                    fastest[trial] = min(fastest[trial], (time.perf_counter() - started) * 1000)
    return fastest


def _depthwise(network: nn.Module, device: torch.device, precision: Chosen) -> str:
    """Where the gradients of depthwise convolutions come from."""
    if device.type != "cpu" or precision != "bfloat16":
        return "torch"
    with fast_depthwise(network) as count:
        return "convlens.training.depthwise" if count else "torch"


def _name(precision: Chosen, threads: int) -> str:
    return f"{precision}, {threads} thread{'s' if threads > 1 else ''}"
