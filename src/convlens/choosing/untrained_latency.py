"""How long a network takes for one image here, before it is trained: weights do not change that."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from convlens import files, networks
from convlens.choosing.candidates import Candidate
from convlens.engine import CompiledNetwork, Precision, compile
from convlens.errors import ConvlensError
from convlens.predicting.measuring import interleave
from convlens.processors import default_threads, processor_name

if TYPE_CHECKING:
    from torch import nn

_SECONDS = 0.4


def measure_untrained(candidate: Candidate, classes: int, channels: int) -> float:
    """Milliseconds for one image, the median on the faster of PyTorch and the engine in each of its precisions.

    Args:
        candidate: the network and its size.
        classes: of its outputs.
        channels: of its input.
    """
    memory = files.cache_folder() / "latency.json"
    threads = default_threads()
    key = f"{candidate.network} {candidate.size} {classes} {channels} {threads} {processor_name()}"
    known = files.remembered(memory).get(key)
    if isinstance(known, int | float):
        return float(known)
    measured = _measure(candidate, classes, channels, threads)
    files.remember(memory, key, measured)
    return measured


def _measure(candidate: Candidate, classes: int, channels: int, threads: int) -> float:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = networks.create(candidate.network, classes=classes, channels=channels, size=candidate.size).eval()
        x_NCHW = torch.randn(1, channels, *candidate.size)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            runners: dict[str, Callable[..., object]] = {
                "torch": network,
                **_compiled(network, (channels, *candidate.size), threads),
            }
            timings = interleave({name: partial(run, x_NCHW) for name, run in runners.items()}, seconds=_SECONDS)
    finally:
        torch.set_num_threads(before)
    return min(timing.p50 for timing in timings.values())


def _compiled(network: "nn.Module", size: tuple[int, ...], threads: int) -> dict[str, CompiledNetwork]:
    """The network on the engine in each precision that it has here; none where it cannot run it."""
    found: dict[str, CompiledNetwork] = {}
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    for precision in precisions:
        with suppress(ConvlensError):
            found[precision] = compile(network, size, precision=precision, threads=threads)
    return found
