"""How a training will compute: what the configuration names, and what a search found here or on an earlier day."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from convlens import files
from convlens.errors import ConvlensError
from convlens.processors import available_processors, processor_name
from convlens.training.config import TrainConfig
from convlens.training.speed.depthwise import fast_depthwise
from convlens.training.speed.detours import direct_averages
from convlens.training.speed.numerics import Numerics, has_bfloat16, lacks_to_compile
from convlens.training.speed.speed_search import (
    CLEARLY_FASTER,
    CandidateError,
    Found,
    Machine,
    first_numerics,
    search,
    search_compiled,
    seconds_allowed,
)
from convlens.training.speed.timing import StepClock
from convlens.training.step import Step
from convlens.training.step_memory import is_small

_KEPT = ("threads", "precision", "memory_format", "depthwise")  # of what was chosen; compiling is decided each time


def choose_numerics(
    network: nn.Module,
    x_NCHW: Tensor,
    y_N: Tensor,
    config: TrainConfig,
    step: Step,
    *,
    steps: int,
    say: Callable[[str], None],
) -> Numerics:
    """Choose how to compute: as the configuration names or, where it leaves it open, by timing.

    Args:
        network: on its device; it is copied, so that nothing of it is changed.
        x_NCHW: a batch of the real shape, or the part of one that is computed at a time.
        y_N: its labels.
        config: what is named.
        step: the step that training will do.
        steps: of the whole training.
        say: is told about candidates that do not work, and of a batch that would be faster.

    Raises:
        ConvlensError: a precision that the device has not.
    """
    _check(config, x_NCHW.device)
    machine = machine_of(network, x_NCHW.device, config)
    start = first_numerics(config, str(x_NCHW.device), machine)
    if not config.tune:
        return replace(start, compile="none" if config.compile == "auto" else config.compile)
    clock = StepClock(network, x_NCHW, y_N, step, recompute=config.recompute)
    path, key = files.cache_folder() / "tuning.json", _key(x_NCHW, config, step)
    known = files.remembered(path).get(key)
    found = _recalled(start, known) if known else Found(best=start)
    failed = set(found.failed)
    if not known:
        search(config, machine, found, clock, steps)
        chosen = {name: getattr(found.best, name) for name in _KEPT}
        larger = _speeds(clock, found, config, steps)
    else:
        chosen, larger = known["chosen"], known["speeds"]
    if config.compile == "auto":
        search_compiled(config, machine, found, clock, steps)
    else:
        found.best = replace(found.best, compile=config.compile)
    record = {
        "chosen": chosen,
        "milliseconds": found.milliseconds,
        "failed": found.failed,
        "compiled": found.compiled,
        "speeds": larger,
    }
    if record != known:
        files.remember(path, key, record)
    for title, reason in found.failed.items():
        if title not in failed:
            say(f"{title} is left out: {reason}")
    _suggest(larger, len(x_NCHW), config, say)
    return replace(found.best, milliseconds=found.milliseconds, skipped=found.skipped | found.failed)


def machine_of(network: nn.Module, device: torch.device, config: TrainConfig) -> Machine:
    """What a device can do for a network."""
    with fast_depthwise(network) as depthwise, direct_averages(network) as averages:
        pass  # to count them
    return Machine(
        kind=device.type,
        threads=config.threads or torch.get_num_threads(),
        bfloat16=has_bfloat16(device),
        depthwise=device.type == "cpu" and depthwise > 0,
        averages=averages > 0,
        lacks_to_compile=lacks_to_compile(device),
        layers=sum(not list(module.children()) for module in network.modules()),
    )


def _recalled(start: Numerics, known: Mapping[str, Any]) -> Found:
    return Found(
        best=replace(start, **known["chosen"]),
        milliseconds=dict(known["milliseconds"]),
        failed=dict(known["failed"]),
        compiled=dict(known["compiled"]),
    )


def _key(x_NCHW: Tensor, config: TrainConfig, step: Step) -> str:
    """All that decides what is found: so the second run of a training chooses what the first one chose."""
    device = x_NCHW.device
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()
    words = [config.network, "×".join(map(str, x_NCHW.shape))]
    if step.teacher is not None:
        words.append("taught")
    if config.recompute:
        words.append("recomputed")
    if device.type == "cpu" and _is_busy():
        words.append("busy")
    words += [f"{name} {getattr(config, name)}" for name in ("precision", "memory_format")]
    threads = f"{config.threads or 'up to ' + str(torch.get_num_threads())} threads"
    return ", ".join([*words, threads, where, f"torch {torch.__version__}"])


def _is_busy() -> bool:
    """Whether others are at work on the processors, which changes how many threads are best."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > available_processors()


def _check(config: TrainConfig, device: torch.device) -> None:
    if config.precision == "float16" and device.type != "cuda":
        raise ConvlensError(f"precision is float16 and the device {device}; use bfloat16, or float16 on CUDA")
    if config.compile in ("auto", "none"):
        return
    if config.recompute or config.freeze_epochs:
        raise ConvlensError(
            f"compile is {config.compile} together with recompute or freeze_epochs, which is not supported; "
            "leave --compile out"
        )
    if config.compile == "reduce-overhead" and device.type != "cuda":
        raise ConvlensError(f"compile is reduce-overhead and the device {device}; use default, or a CUDA device")
    lacks = lacks_to_compile(device)
    if lacks:
        raise ConvlensError(f"compile is {config.compile} and {lacks}; install it, or use --compile none")


def _speeds(clock: StepClock, found: Found, config: TrainConfig, steps: int) -> list[float] | None:
    """Images a second of the batch and of twice the batch; None if that may not fit or no time is left."""
    took = found.milliseconds.get(found.best.title, 0.0)
    if clock.spent > seconds_allowed(steps, took) or not is_small(clock.network, torch.cat([clock.x] * 2), config):
        return None
    try:
        return [round(speed, 1) for speed in clock.images_a_second(found.best)]
    except CandidateError:
        return None


def _suggest(speeds: list[float] | None, batch: int, config: TrainConfig, say: Callable[[str], None]) -> None:
    """Say that a larger batch would be faster. It is another recipe, so it is never taken unasked."""
    if speeds and batch == config.images_per_step and speeds[1] > CLEARLY_FASTER * speeds[0]:
        say(
            f"a batch of {2 * batch} would give {speeds[1]:,.0f} images/s instead of {speeds[0]:,.0f}; it changes what "
            f"is learnt, so --batch stays {batch}"
        )
