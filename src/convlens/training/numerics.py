"""What is chosen for speed and touches results: found by timing, written into the run, kept when it is resumed."""

import copy
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convlens import files
from convlens.processors import processor_name
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
    device, all_threads = x_NCHW.device, config.threads or torch.get_num_threads()
    precision: Chosen = "bfloat16" if config.precision == "bfloat16" else "float32"
    chosen = (precision, all_threads)
    others: list[Trial] = []
    if config.tune and config.precision == "auto" and has_bfloat16(device):
        others.append(("bfloat16", all_threads))
    if config.tune and not config.threads and device.type == "cpu" and all_threads > 1:
        others += [(precision, 1) for precision, _ in [chosen, *others]]
    milliseconds = remembered_or_timed([chosen, *others], network, x_NCHW, y_N, step, config.network) if others else {}
    for trial in others:
        if milliseconds[_name(*trial)] * _CLEARLY_FASTER < milliseconds[_name(*chosen)]:
            chosen = trial
    return Numerics(
        device=str(device),
        threads=chosen[1],
        precision=chosen[0],
        depthwise=_depthwise(network, device, chosen[0]),
        milliseconds=milliseconds,
    )


def remembered_or_timed(
    trials: Sequence[Trial], network: nn.Module, x_NCHW: torch.Tensor, y_N: torch.Tensor, step: Step, name: str
) -> dict[str, float]:
    """What a step takes in each trial, in milliseconds: from the last time on this machine, or timed and remembered.

    So the second run of a training chooses what the first one chose, however busy the machine is meanwhile.
    """
    path = files.cache_folder() / "tuning.json"
    device = x_NCHW.device
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()
    shape = "×".join(map(str, x_NCHW.shape))
    taught = "" if step.teacher is None else ", taught"
    key = f"{name}, {shape}{taught}, {where}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    known = _remembered(path)
    wanted = {_name(*trial) for trial in trials}
    if wanted <= known.get(key, {}).keys():
        return {trial: value for trial, value in known[key].items() if trial in wanted}
    timed = _time(trials, network, x_NCHW, y_N, step)
    found = {_name(*trial): round(value, 3) for trial, value in timed.items()}
    files.write_json(path, _remembered(path) | {key: found})
    return found


def _remembered(path: Path) -> dict[str, dict[str, float]]:
    """What was timed before; a file that cannot be read is as good as none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


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
