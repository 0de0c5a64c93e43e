"""A benchmark as a table of values and as a figure."""

import csv
import io
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from convlens import files
from convlens.benchmarking.benchmark import Benchmark, Row

_COLOURS = {"float32": "#4c78a8", "bfloat16": "#f58518", "int8": "#54a24b"}


def write_report(done: Benchmark, folder: Path) -> list[Path]:
    """Write `benchmark.csv`, `benchmark.json` and `benchmark.png` below `folder`, and give their paths."""
    table, values, figure = (folder / f"benchmark.{suffix}" for suffix in ("csv", "json", "png"))
    files.write_text(table, as_csv(done))
    files.write_json(values, done.to_dict())
    files.write_bytes(figure, as_png(done))
    return [table, values, figure]


def as_csv(done: Benchmark) -> str:
    """One line a row; what is unknown is empty."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [field.name for field in fields(Row)])
    writer.writeheader()
    writer.writerows(asdict(row) for row in done.rows)
    return buffer.getvalue()


def as_png(done: Benchmark) -> bytes:
    """Bars of images a second, a panel for each network and batch."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    networks = list(dict.fromkeys(row.network for row in done.rows))
    batches = sorted({row.batch for row in done.rows})
    tallest = max(sum(r.network == n and r.batch == batches[0] for r in done.rows) for n in networks)
    figure = Figure(figsize=(1 + 4 * len(batches), 0.9 + (0.6 + 0.32 * tallest) * len(networks)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(networks), len(batches), squeeze=False)
    for across, network in zip(panels, networks, strict=True):
        for axes, batch in zip(across, batches, strict=True):
            _bars(axes, [row for row in done.rows if (row.network, row.batch) == (network, batch)])
            axes.set_title(f"{network}, batch {batch}", fontsize=10, loc="left")
        across[0].set_ylabel("")
    for axes in panels[-1]:
        axes.set_xlabel("images a second")
    figure.suptitle(f"{done.machine.processor}, {done.machine.threads} thread(s)", fontsize=9, x=0.01, ha="left")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _bars(axes: Any, rows: list[Row]) -> None:
    labels = [f"{row.runtime} {row.precision}" for row in rows]
    speeds = [row.images_per_second for row in rows]
    bars = axes.barh(labels, speeds, color=[_COLOURS[row.precision] for row in rows])
    axes.bar_label(bars, [f"{speed:,.4g}" for speed in speeds], padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
