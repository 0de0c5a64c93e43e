"""`convlens benchmark`: networks on every runtime in every precision, on this machine."""

import json
import sys
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from convlens.benchmarking.benchmark import Benchmark, Row
from convlens.benchmarking.benchmark import benchmark as measure
from convlens.benchmarking.benchmark_report import write_report
from convlens.errors import ConvlensError
from convlens.lessons.claim import NETWORKS, comparisons
from convlens.sizes import image_size


def benchmark(
    *sources: str, batch: str | None, threads: int | None, runtime: str, precision: str, data: str | None,
    size: str | None, seconds: float, memory: bool, layers: int, claim: bool, out: Path | None, json_: bool,
    quiet: bool
) -> int:  # fmt: skip
    """Measure speed, memory, size and accuracy of networks on every runtime in every precision."""
    if claim and sources:
        raise ConvlensError("--claim measures two networks of its own; leave the others out")
    done = measure(
        NETWORKS if claim else sources,
        batches=[1] if claim and batch is None else _numbers(batch or "1,8,32"),
        threads=1 if claim and threads is None else threads,
        runtimes=runtime.split(","),
        precisions=precision.split(","),
        data=data,
        size=image_size(size) if size else None,
        seconds=seconds,
        memory=memory,
        layers=layers,
        on_note=(lambda _: None) if quiet else (lambda note: print(note, file=sys.stderr)),
    )
    if json_:
        print(json.dumps(done.to_dict(), ensure_ascii=False, indent=2))
    else:
        _show(done, claim)
    for path in write_report(done, out) if out else ():
        print(f"wrote {path}", file=sys.stderr)
    return 0


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConvlensError(f"--batch {text}: use whole numbers with commas, such as 1,8,32") from None


def _show(done: Benchmark, claim: bool) -> None:
    console = Console()
    _show_rows(console, done)
    _show_machine(console, done)
    _show_layers(console, done)
    if claim:
        _show_claim(console, done)


def _show_rows(console: Console, done: Benchmark) -> None:
    """One table for each network and batch, narrow enough for a terminal of 80 columns."""
    titles = ["p50 ms", "p95 ms", "images/s", "peak", "bandw.", "RAM MB", "file MB"]
    if done.accuracy_on:
        titles.append("top 1")
    for network, batch in dict.fromkeys((row.network, row.batch) for row in done.rows):
        table = Table("", *titles, title=f"{network}, batch {batch}", title_justify="left", box=SIMPLE_HEAD, padding=0)
        for column in table.columns[1:]:
            column.justify = "right"
            column.min_width = 7
        for row in done.rows:
            if (row.network, row.batch) == (network, batch):
                table.add_row(f"{row.runtime} {row.precision}", *_cells(row, bool(done.accuracy_on)))
        console.print(table)


def _cells(row: Row, with_accuracy: bool) -> list[str]:
    cells = [
        f"{row.p50_ms:,.4g}",
        f"{row.p95_ms:,.4g}",
        f"{row.images_per_second:,.4g}",
        _share(row.arithmetic_share),
        _share(row.bandwidth_share),
        "unknown" if row.memory_bytes is None else f"{row.memory_bytes / 1e6:,.0f}",
        f"{row.file_bytes / 1e6:,.1f}",
    ]
    return [*cells, "unknown" if row.top1 is None else f"{row.top1:.1%}"] if with_accuracy else cells


def _show_machine(console: Console, done: Benchmark) -> None:
    machine = done.machine
    peaks = ", ".join(f"{value:,.0f} in {precision}" for precision, value in machine.operations.items())
    lines = [
        f"{machine.processor}, {machine.threads} thread(s); measured peaks: {peaks} (10⁹ operations a second, "
        f"a multiply-add being two); {machine.bandwidth:.1f} GB/s",
        f"accuracy on {done.accuracy_on}" if done.accuracy_on else "accuracy: not measured, for no --data was given",
    ]
    for line in lines:
        console.print(line, highlight=False, markup=False)


def _show_layers(console: Console, done: Benchmark) -> None:
    for name, layers in done.layers.items():
        told = ", ".join(f"{layer.layer} {layer.share:.0%}" for layer in layers)
        console.print(f"{name}: costliest: {told}", highlight=False, markup=False)


def _show_claim(console: Console, done: Benchmark) -> None:
    table = Table("runtime", "precision", *(f"{name} ms" for name in NETWORKS), "times as fast")
    for column in table.columns[2:]:
        column.justify = "right"
    for row in comparisons(done):
        table.add_row(row.runtime, row.precision, f"{row.slow_ms:.1f}", f"{row.fast_ms:.1f}", f"{row.ratio:.2f}")
    console.print(table)


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0%}"
