"""Networks on every runtime in every precision, timed against each other in turns, beside what the machine can do."""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convlens.artifacts.artifact_formats import format_of
from convlens.benchmarking.footprint import measure_memory
from convlens.benchmarking.hot_layers import HotLayer, can_profile, hot_layers
from convlens.benchmarking.machine import Machine, measure_machine
from convlens.benchmarking.variants import (
    Variant,
    choose_precisions,
    choose_runtimes,
    load_variant,
    make_variants,
)
from convlens.classifiers.classifier import Classifier
from convlens.classifiers.resolve import resolve
from convlens.data import open_dataset
from convlens.errors import ConvlensError
from convlens.predicting.apart import Apart, Subject
from convlens.predicting.finite import NotFiniteError, check_finite
from convlens.predicting.measuring import Timing
from convlens.predicting.versions import versions
from convlens.processors import default_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convlens.evaluation import Evaluation

_CALIBRATION = 16  # images for int8 when its accuracy is not asked for
_BEYOND_THE_PEAK = 1.5  # kernels beat PyTorch's matrix product by some, never by half
_BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}

Note = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network on one runtime in one precision at one batch.

    Args:
        network: its name.
        runtime: what computed.
        precision: of the arithmetic.
        batch: images a call.
        p50_ms: median of a call.
        p95_ms: what one call in twenty exceeds.
        best_ms: the shortest call: on a machine that others load, nearest to what it does alone.
        images_per_second: at the median.
        arithmetic_share: of the machine's measured peak in this precision; None without a peak.
        bandwidth_share: of the machine's measured bandwidth, if every tensor travels to memory and back.
        memory_bytes: peak above the imports; None where the system does not tell.
        file_bytes: of the artifact.
        top1: accuracy, None without data.
        top1_low: lower end of its 95 % interval.
        top1_high: upper end.
    """

    network: str
    runtime: str
    precision: str
    batch: int
    p50_ms: float
    p95_ms: float
    best_ms: float
    images_per_second: float
    arithmetic_share: float | None
    bandwidth_share: float
    memory_bytes: int | None
    file_bytes: int
    top1: float | None = None
    top1_low: float | None = None
    top1_high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """All rows, what the machine can do, and the costliest layers of each variant at the smallest batch."""

    machine: Machine
    versions: dict[str, str]
    rows: tuple[Row, ...]
    layers: dict[str, tuple[HotLayer, ...]]
    accuracy_on: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give it as `benchmark --json` prints it."""
        return asdict(self)


def benchmark(
    sources: Sequence[str | Path],
    *,
    batches: Sequence[int] = (1, 8, 32),
    threads: int | None = None,
    runtimes: Sequence[str] = ("all",),
    precisions: Sequence[str] = ("all",),
    data: str | Path | None = None,
    size: tuple[int, int] | None = None,
    seconds: float = 2.0,
    memory: bool = True,
    layers: int = 5,
    on_note: Note | None = None,
) -> Benchmark:
    """Measure networks on every runtime in every precision.

    Args:
        sources: runs, artifacts or names of networks (with initial weights).
        batches: images a call.
        threads: that one call may use; None takes the processors that the container has.
        runtimes: by name, or `all` that are installed.
        precisions: by name, or `all`.
        data: labelled images for accuracy and for the ranges of int8; without them accuracy is not measured.
        size: for names of networks: pixels of the square input.
        seconds: of timing for each variant and batch.
        memory: whether to measure memory, each variant in a process of its own.
        layers: how many of the costliest layers to tell.
        on_note: told what is going on and what could not be made.

    Raises:
        ConvlensError: a name that does not exist, a number out of range, or nothing left to measure.
    """
    note = on_note or (lambda _: None)
    _check(sources, batches, threads, seconds)
    count = threads or default_threads()
    wanted = choose_runtimes(runtimes), choose_precisions(precisions)
    with tempfile.TemporaryDirectory(prefix="convlens-benchmark-") as folder, _torch_threads(count):
        variants: list[Variant] = []
        for number, source in enumerate(sources):
            note(f"preparing {source}")
            variants += _variants(source, *wanted, Path(folder) / str(number), count, data, size, note)
        if not variants:
            raise ConvlensError("nothing to measure: no runtime holds any of the precisions; use --runtime all")
        _check_answers(variants, note)
        note(f"measuring what this machine can do with {count} thread(s)")
        machine = measure_machine(count, min(seconds, 0.5))
        answers = {v.name: _evaluate(v, data) for v in variants} if data else {}
        timings = _time(variants, batches, count, seconds, note)
        machine = machine.at_best(measure_machine(count, min(seconds, 0.5)))
        rows = [
            _row(v, batch, found[v.name], machine)
            for batch, found in timings.items()
            for v in variants
            if v.name in found
        ]
        if any((row.arithmetic_share or 0.0) > _BEYOND_THE_PEAK for row in rows):
            note("a runtime is far beyond the machine's peak, which others kept down while it was measured; try again")
        peaks = {v.name: _memory(v, batches, count, note) for v in variants} if memory else {}
        hot = {v.name: tuple(hot_layers(v, min(batches), layers)) for v in variants if can_profile(v)} if layers else {}
    return Benchmark(
        machine=machine,
        versions=versions(),
        rows=tuple(_complete(row, peaks, answers) for row in rows),
        layers=hot,
        accuracy_on=next((f"{a.images} images of {a.data}, split {a.split}" for a in answers.values()), None),
    )


def _check(sources: Sequence[str | Path], batches: Sequence[int], threads: int | None, seconds: float) -> None:
    if not sources:
        raise ConvlensError("nothing to measure; name runs, artifacts or networks")
    if not batches or min(batches) < 1:
        raise ConvlensError(
            f"batch is {', '.join(map(str, batches)) or 'empty'}; use whole numbers from 1, such as 1,8,32"
        )
    if threads is not None and threads < 1:
        raise ConvlensError(f"threads is {threads}; use at least 1")
    if seconds <= 0:
        raise ConvlensError(f"seconds is {seconds}; use a time above 0")


def _check_answers(variants: Sequence[Variant], note: Note) -> None:
    """Say which variants answer with NaN; where all do, it is the network, and there is nothing to measure."""
    from convlens.artifacts.proof_images import from_photographs

    broken: dict[str, NotFiniteError] = {}
    for variant in variants:
        preprocessing = variant.predictor.preprocessing
        (picture,) = from_photographs(preprocessing.channels, 1).images
        try:
            check_finite(variant.predictor.probabilities(preprocessing.apply(picture)[None]))
        except NotFiniteError as error:
            broken[variant.name] = error
            note(f"{variant.name} answers with NaN")
    if len(broken) == len(variants):
        raise next(iter(broken.values()))


@contextmanager
def _torch_threads(count: int) -> "Iterator[None]":
    """PyTorch's number of threads belongs to the whole process: give it back afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _variants(
    source: str | Path,
    runtimes: Sequence[str],
    precisions: Sequence[Any],
    folder: Path,
    threads: int,
    data: str | Path | None,
    size: tuple[int, int] | None,
    note: Note,
) -> list[Variant]:
    """A run or a network in every form; an artifact as it is, on each runtime that takes it."""
    path = Path(source)
    if path.is_file():
        able = [runtime for runtime in format_of(path).runtimes if runtime in runtimes]
        return [load_variant(path.name, path, runtime, threads) for runtime in able]
    folder.mkdir()
    subject = resolve(source, size=None if path.is_dir() else size)
    images = _calibration(subject, data)
    return make_variants(subject, runtimes, precisions, images, folder, threads, note)


def _calibration(subject: Classifier, data: str | Path | None) -> NDArray[np.float32]:
    from convlens.artifacts.proof_images import from_photographs
    from convlens.shipping.labelled import read_labelled
    from convlens.shipping.quantising import CALIBRATION_IMAGES

    if data is not None:
        dataset = open_dataset(data, classes=subject.classes)
        return read_labelled(dataset, ("train", "val", "test"), subject.preprocessing, CALIBRATION_IMAGES).x
    pictures = from_photographs(subject.preprocessing.channels, _CALIBRATION).images
    return np.stack([subject.preprocessing.apply(picture) for picture in pictures])


def _evaluate(variant: Variant, data: str | Path | None) -> "Evaluation":
    from convlens.evaluation import evaluate

    assert data is not None
    return evaluate(variant.predictor, open_dataset(data, classes=variant.predictor.classes))


def _time(
    variants: Sequence[Variant], batches: Sequence[int], threads: int, seconds: float, note: Note
) -> dict[int, dict[str, Timing]]:
    """Batch -> variant -> its timing, each variant in a process of its own."""
    subjects = {
        variant.name: Subject(source=str(variant.path), runtime=variant.predictor.runtime, threads=threads)
        for variant in variants
    }
    timings: dict[int, dict[str, Timing]] = {}
    with Apart(subjects) as apart:
        for name, why in apart.refused.items():
            note(f"{name}: {why}")
        for batch in sorted(batches):
            note(f"timing {len(variants) - len(apart.refused)} variants at batch {batch}, in turns")
            timings[batch] = apart.time(batch, seconds)
    return timings


def _row(variant: Variant, batch: int, timing: Timing, machine: Machine) -> Row:
    predictor = variant.predictor
    macs, parameters, moved = _costs(tuple(sorted((k, _frozen(v)) for k, v in variant.source.items())))
    seconds = timing.p50 / 1000
    peak = machine.operations.get(predictor.precision)
    bytes_moved = (parameters + batch * moved) * _BYTES[predictor.precision]
    return Row(
        network=variant.network,
        runtime=predictor.runtime,
        precision=predictor.precision,
        batch=batch,
        p50_ms=timing.p50,
        p95_ms=timing.p95,
        best_ms=timing.best,
        images_per_second=batch / seconds,
        arithmetic_share=2 * macs * batch / seconds / (peak * 1e9) if peak else None,
        bandwidth_share=bytes_moved / seconds / (machine.bandwidth * 1e9),
        memory_bytes=None,
        file_bytes=variant.file_bytes,
    )


@cache
def _costs(choice: tuple[tuple[str, Any], ...]) -> tuple[int, int, int]:
    """Multiply-adds of one image, parameters, and the other elements that one image moves, by the anatomy."""
    from convlens import networks
    from convlens.anatomy import inspect

    arguments = dict(choice)
    network = networks.create(arguments.pop("name"), **arguments).eval()
    sheet = inspect(network, (arguments["channels"], *arguments["size"]))
    moved = sum(row.bytes_read + row.bytes_written for row in sheet.rows) // 4
    return sheet.macs, sheet.parameters, max(0, moved - sheet.parameters)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _memory(variant: Variant, batches: Sequence[int], threads: int, note: Note) -> dict[int, int]:
    note(f"memory of {variant.name}")
    return measure_memory(variant.path, variant.predictor.runtime, threads, batches)


def _complete(row: Row, peaks: dict[str, dict[int, int]], answers: "dict[str, Evaluation]") -> Row:
    name = f"{row.network} {row.runtime} {row.precision}"
    answer = answers.get(name)
    row = replace(row, memory_bytes=peaks.get(name, {}).get(row.batch))
    return replace(row, top1=answer.top1, top1_low=answer.top1_low, top1_high=answer.top1_high) if answer else row
