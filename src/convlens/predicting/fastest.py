"""Which runtime is fastest for a network on this machine: measured once, and remembered."""

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from convlens import files
from convlens.errors import ConvlensError
from convlens.predicting.measuring import Timing, interleave
from convlens.predicting.predictor import Predictor
from convlens.predicting.versions import versions
from convlens.processors import processor_name

_SECONDS = 2.0


def fastest(
    fingerprint: str,
    candidates: Mapping[str, Callable[[], Predictor]],
    *,
    batch: int,
    threads: int,
    measure: Callable[..., Mapping[str, Timing]] = interleave,
) -> Predictor:
    """Load a network on every candidate runtime, or on the one remembered, and give the fastest predictor.

    Args:
        fingerprint: of the network, whose content is what is remembered, not its name.
        candidates: runtime -> what loads the network on it.
        batch: images in a call.
        threads: that a call uses.
        measure: times calls against each other.

    Raises:
        ConvlensError: `batch` is below 1, or no runtime can run the network.
    """
    if batch < 1:
        raise ConvlensError(f"batch is {batch}; use at least 1")
    memory = files.cache_folder() / "runtimes.json"
    key = _key(fingerprint, sorted(candidates), batch, threads)
    known = files.remembered(memory).get(key)
    if known is not None and known["runtime"] in candidates:
        return _noted(candidates[known["runtime"]](), known, remembered=True)
    loaded, refused = _load(candidates)
    timings = _time(loaded, batch, measure)
    chosen = min(timings, key=lambda name: timings[name].p50)
    result = {
        "runtime": chosen,
        "batch": batch,
        "milliseconds": {name: round(timing.p50, 4) for name, timing in timings.items()},
        "refused": refused,
    }
    files.remember(memory, key, result)
    return _noted(loaded[chosen], result, remembered=False)


def _load(candidates: Mapping[str, Callable[[], Predictor]]) -> tuple[dict[str, Predictor], dict[str, str]]:
    loaded: dict[str, Predictor] = {}
    refused: dict[str, str] = {}
    for name, load in candidates.items():
        try:
            loaded[name] = load()
        except ConvlensError as error:  # such as an export that does not prove itself: the others may still serve
            refused[name] = str(error)
    if not loaded:
        raise ConvlensError(
            "no runtime can run this network: " + "; ".join(f"{n}: {why}" for n, why in refused.items())
        )
    return loaded, refused


def _time(
    loaded: Mapping[str, Predictor], batch: int, measure: Callable[..., Mapping[str, Timing]]
) -> Mapping[str, Timing]:
    first = next(iter(loaded.values())).preprocessing
    x = np.random.default_rng(0).normal(size=(batch, first.channels, *first.size)).astype(np.float32)
    calls = {name: partial(predictor.probabilities, x) for name, predictor in loaded.items()}
    return measure(calls, seconds=_SECONDS)


def _noted(predictor: Predictor, result: Mapping[str, Any], *, remembered: bool) -> Predictor:
    predictor.facts["runtime_choice"] = {**result, "remembered": remembered}
    return predictor


def _key(fingerprint: str, runtimes: list[str], batch: int, threads: int) -> str:
    """What the answer depends on: the network's content, the machine, the versions, the batch and the threads."""
    machine = f"{fingerprint} {processor_name()} {runtimes} {batch} {threads} {sorted(versions().items())}"
    return hashlib.sha256(machine.encode()).hexdigest()[:32]
