"""Which runtime is fastest for a network on this machine: measured once, and remembered."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from convlens import files
from convlens.errors import ConvlensError
from convlens.predicting.apart import Apart, Subject
from convlens.predicting.measuring import Timing
from convlens.predicting.predictor import Predictor
from convlens.predicting.versions import versions
from convlens.processors import processor_name

_SECONDS = 2.0

# subjects, images a call, seconds for each -> timings, and why others cannot be timed
Measure = Callable[[Mapping[str, Subject], int, float], tuple[Mapping[str, Timing], Mapping[str, str]]]


def measure_apart(
    subjects: Mapping[str, Subject], batch: int, seconds: float
) -> tuple[Mapping[str, Timing], Mapping[str, str]]:
    """Time subjects in processes of their own; give the timings, and why others cannot be timed."""
    with Apart(subjects) as apart:
        return apart.time(batch, seconds), apart.refused


def fastest(
    fingerprint: str,
    candidates: Mapping[str, Callable[[], Predictor]],
    subjects: Callable[[], tuple[Mapping[str, Subject], Mapping[str, str]]],
    *,
    batch: int,
    threads: int,
    measure: Measure = measure_apart,
) -> Predictor:
    """Load a network on the fastest of its candidate runtimes, or on the one remembered.

    Args:
        fingerprint: of the network, whose content is what is remembered, not its name.
        candidates: runtime -> what loads the network on it.
        subjects: gives runtime -> what is timed, and runtime -> why it cannot be; asked only if nothing is remembered.
        batch: images in a call.
        threads: that a call uses.
        measure: times subjects against each other, each in a process of its own.

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
    able, refused = subjects()
    timings, failed = measure(able, batch, _SECONDS)
    refused = {**refused, **failed}
    if not timings:
        raise ConvlensError(
            "no runtime can run this network: " + "; ".join(f"{n}: {why}" for n, why in refused.items())
        )
    chosen = min(timings, key=lambda name: timings[name].p50)
    result = {
        "runtime": chosen,
        "batch": batch,
        "milliseconds": {name: round(timing.p50, 4) for name, timing in timings.items()},
        "refused": refused,
    }
    files.remember(memory, key, result)
    return _noted(candidates[chosen](), result, remembered=False)


def _noted(predictor: Predictor, result: Mapping[str, Any], *, remembered: bool) -> Predictor:
    predictor.facts["runtime_choice"] = {**result, "remembered": remembered}
    return predictor


def _key(fingerprint: str, runtimes: list[str], batch: int, threads: int) -> str:
    """What the answer depends on: the network's content, the machine, the versions, the batch and the threads."""
    machine = f"{fingerprint} {processor_name()} {runtimes} {batch} {threads} {sorted(versions().items())}"
    return hashlib.sha256(machine.encode()).hexdigest()[:32]
