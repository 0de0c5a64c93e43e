"""A plan as a table: what runs, how long it takes here, and how far that is from what the processor could do."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rich.table import Table

    from convlens.engine.compiled import CompiledNetwork


def measured(compiled: "CompiledNetwork", repeats: int = 15) -> list[dict[str, Any]]:
    """One row a step: the plan's facts, and its microseconds inside the whole program for one image.

    `floor` is what the step's multiply-adds would take at the peak of one core times the threads, both measured here;
    `share` is floor / microseconds, None for a step without multiply-adds. Winograd needs fewer multiplications than
    the direct sum that is counted, so that its share can exceed 1.
    """
    import convlens_kernels as kernels

    peak = kernels.measure_peak(compiled.plan.precision) * compiled.threads / 1e6
    times = compiled.measure(repeats)
    rows = []
    for step, microseconds in zip(compiled.plan.steps, times, strict=True):
        floor = step.macs / peak
        share = floor / microseconds if step.macs and microseconds else None
        rows.append(asdict(step) | {"microseconds": round(microseconds, 2), "floor": round(floor, 2), "share": share})
    return rows


def _shortly(names: Sequence[str]) -> str:
    """The first and the last of what a step does."""
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"


def as_table(rows: Sequence[dict[str, Any]]) -> "Table":
    """The rows for the terminal, and a last one for all together."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("step", "kernel", "tile"):
        table.add_column(title, no_wrap=True)
    for title in ("result", "weights", "MACs", "µs", "floor µs", "share"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("does", overflow="fold")
    for row in rows:
        table.add_row(
            row["op"],
            row["kernel"],
            "×".join(map(str, row["tile"])),
            "×".join(map(str, row["shape"])),
            f"{row['weight_bytes'] / 1e3:,.1f} kB" if row["weight_bytes"] else "",
            f"{row['macs'] / 1e6:,.2f} M" if row["macs"] else "",
            f"{row['microseconds']:,.1f}",
            f"{row['floor']:,.1f}" if row["macs"] else "",
            "" if row["share"] is None else f"{row['share']:.0%}",
            _shortly(row["names"]),
        )
    total, floor = (float(np.sum([row[name] for row in rows])) for name in ("microseconds", "floor"))
    weights, macs = (float(np.sum([row[name] for row in rows])) for name in ("weight_bytes", "macs"))
    table.add_row(
        f"{len(rows)} steps",
        *("", "", "", f"{weights / 1e3:,.1f} kB", f"{macs / 1e6:,.2f} M", f"{total:,.1f}", f"{floor:,.1f}"),
        f"{floor / total:.0%}" if total else "",
        "",
        style="bold",
    )
    return table
