"""What the candidates that were trained to their end cost on this machine: measured against each other, in turns."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convlens import files
from convlens.artifacts.proof_images import from_photographs
from convlens.benchmarking.footprint import measure_memory
from convlens.benchmarking.variants import Variant, choose_runtimes, make_variants
from convlens.classifiers import resolve
from convlens.errors import ConvlensError
from convlens.predicting.apart import Apart, Subject
from convlens.processors import default_threads, processor_name

_TRIED_SECONDS = 0.3  # of each runtime and precision, to find the fastest
_SECONDS = 1.5  # of each network on its fastest

Note = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One network for one image, on the runtime and in the precision that are the fastest for it here.

    Attributes:
        runtime: by name.
        precision: float32 or bfloat16; int8 changes answers, and is for `export` to choose.
        latency_ms: the median, timed in turns with the others.
        memory_bytes: the peak above the imports; None where the system does not tell.
        file_bytes: of the artifact.
    """

    runtime: str
    precision: str
    latency_ms: float
    memory_bytes: int | None
    file_bytes: int


def measure_survivors(runs: Mapping[str, Path], folder: Path, note: Note) -> dict[str, Measured]:
    """Measure networks on every runtime here, then each on its fastest one against the others.

    Args:
        runs: name -> run folder.
        folder: of the study, which remembers what was measured for the same weights.
        note: told what is going on and what could not be made.
    """
    memory = folder / "measured.json"
    key = f"{processor_name()} {default_threads()} " + " ".join(sorted(f"{name}:{_age(runs[name])}" for name in runs))
    known = files.remembered(memory).get(key)
    if known is not None:
        return {name: Measured(**values) for name, values in known.items()}
    measured = _measure(runs, folder / "artifacts", default_threads(), note)
    files.remember(memory, key, {name: asdict(values) for name, values in measured.items()})
    return measured


def _measure(runs: Mapping[str, Path], artifacts: Path, threads: int, note: Note) -> dict[str, Measured]:
    fastest = {}
    for name, run in runs.items():
        note(f"finding the fastest runtime for {name}")
        if (variant := _fastest(run, artifacts / name, threads, note)) is not None:
            fastest[name] = variant
    note(f"timing {len(fastest)} networks against each other, in turns")
    timings = {}
    with Apart({name: _subject(variant, threads) for name, variant in fastest.items()}) as apart:
        timings = apart.time(1, _SECONDS)
    return {
        name: Measured(
            runtime=variant.predictor.runtime,
            precision=variant.predictor.precision,
            latency_ms=timings[name].p50,
            memory_bytes=measure_memory(variant.path, variant.predictor.runtime, threads, [1]).get(1),
            file_bytes=variant.file_bytes,
        )
        for name, variant in fastest.items()
        if name in timings
    }


def _fastest(run: Path, folder: Path, threads: int, note: Note) -> Variant | None:
    """A run on the runtime and in the precision that answer one image soonest."""
    folder.mkdir(parents=True, exist_ok=True)
    subject = resolve(run, trained=True)
    pictures = from_photographs(subject.preprocessing.channels, 2).images
    images = np.stack([subject.preprocessing.apply(picture) for picture in pictures])
    runtimes = choose_runtimes(["all"])
    made = {v.name: v for v in make_variants(subject, runtimes, ("float32", "bfloat16"), images, folder, threads, note)}
    with Apart({name: _subject(variant, threads) for name, variant in made.items()}) as apart:
        timings = apart.time(1, _TRIED_SECONDS)
    if not timings:
        return None
    chosen = made[min(timings, key=lambda name: timings[name].p50)]
    for variant in made.values():
        if variant is not chosen:
            _remove(variant)
    return chosen


def _subject(variant: Variant, threads: int) -> Subject:
    return Subject(source=str(variant.path), runtime=variant.predictor.runtime, threads=threads)


def _remove(variant: Variant) -> None:
    for path in variant.path.parent.glob(f"{variant.path.stem}.*"):
        path.unlink(missing_ok=True)


def _age(run: Path) -> str:
    """What changes when a run's best weights do."""
    try:
        about: Any = (run / "weights" / "best.safetensors").stat()
    except OSError as error:
        raise ConvlensError(
            f"{run} has lost its weights ({error.strerror}); give another folder with --study"
        ) from None
    return f"{about.st_size}-{about.st_mtime_ns}"
