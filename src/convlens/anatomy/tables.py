"""An anatomy as text, HTML, JSON and CSV."""

import csv
import html
import io
import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from convlens.anatomy.quantities import count, shape, size_in_bytes
from convlens.anatomy.tree import ModuleNode

if TYPE_CHECKING:
    from rich.table import Table

    from convlens.anatomy.receptive import ReceptiveField
    from convlens.anatomy.sheet import Anatomy

COLUMNS = ("module", "class", "output", "parameters", "MACs", "FLOPs", "moved", "FLOP/B", "field")
_AS_WIDE_AS_IT_TAKES = 10_000


def field_text(field: "ReceptiveField | None") -> str:
    """Size and stride of a receptive field; with ≤ where it is a bound, with a star where gates let the image in."""
    if field is None:
        return ""
    local = field.local
    star, most = "*" if field.gateless is not None else "", "≤" if local.bounds else ""
    return f"{most}{local.size}/{local.stride}{star}" if local.regular else f"{most}{local.word}{star}"


def cells(sheet: "Anatomy", node: ModuleNode) -> tuple[str, ...]:
    """One line of the table of modules."""
    moved = node.bytes_read + node.bytes_written
    intensity = f"{node.flops / moved:.1f}" if moved and node.flops is not None else ""
    again = f" ×{node.calls}" if node.calls > 1 else ""
    parameters = count(node.parameters) + (f" (+{count(node.shared)} shared)" if node.shared else "")
    return (
        node.name,
        node.kind + again,
        shape(node.shape) if node.calls and node.shapes else ("not called" if not node.calls else ""),
        parameters if node.parameters or node.shared else "",
        count(node.macs) if node.macs or node.not_counted else "",
        count(node.flops) if node.flops or node.not_counted else "",
        size_in_bytes(moved) if moved else "",
        intensity,
        field_text(sheet.field_of(node.path)) if node.calls else "",
    )


def summary(sheet: "Anatomy") -> list[tuple[str, str]]:
    """The totals, in words."""
    frozen = f" ({count(sheet.frozen)} frozen)" if sheet.frozen else ""
    lines = [
        ("input", ", ".join(shape(each) for each in sheet.input_shapes)),
        ("output", ", ".join(shape(each) for each in sheet.output_shapes)),
        ("parameters", f"{sheet.parameters:,}{frozen}, {size_in_bytes(sheet.memory.parameters)}"),
        ("buffers", f"{sheet.buffers:,}"),
        ("MACs", f"{sheet.macs:,} ({count(sheet.macs)})"),
        ("FLOPs", f"{sheet.flops:,} ({count(sheet.flops)})"),
        ("peak memory", f"{size_in_bytes(sheet.peak_memory)} beside parameters and input"),
    ]
    for optimizer, memory in sheet.planned.items():
        parts = (
            f"{size_in_bytes(memory.saved)} saved for the backward pass, {size_in_bytes(memory.gradients)} gradients"
        )
        state = f"{size_in_bytes(memory.optimizer)} state of {optimizer}"
        lines.append(("training", f"{size_in_bytes(memory.total)} at the peak ({parts}, {state})"))
    if sheet.not_counted:
        named = ", ".join(f"{name} ({times}×)" for name, times in sheet.not_counted.items())
        lines.append(("not counted", named))
    return lines


def as_text(sheet: "Anatomy", depth: int | None, width: int | None) -> str:
    """The table of modules and the totals, drawn for a terminal."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, title in enumerate(COLUMNS):
        table.add_column(title, justify="left" if number < 3 else "right", no_wrap=True)
    for node in sheet.modules.walk(depth):
        first, *others = cells(sheet, node)
        table.add_row("  " * node.depth + (first or sheet.name), *others)
    return _drawn(sheet, table, width)


def operations_as_text(sheet: "Anatomy", width: int | None = None) -> str:
    """The table of operations and the totals, drawn for a terminal."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("operation", "output", "parameters", "MACs", "FLOPs", "moved", "FLOP/B", "field"):
        table.add_column(title, justify="left" if title in ("operation", "output") else "right", no_wrap=True)
    for row in sheet.rows:
        moved = row.bytes_read + row.bytes_written
        table.add_row(
            row.name,
            shape(row.shape) if row.shapes else "",
            count(row.parameters) if row.parameters else "",
            "" if row.macs == 0 else count(row.macs),
            "" if row.flops == 0 else count(row.flops),
            size_in_bytes(moved) if moved else "",
            f"{row.intensity:.1f}" if row.intensity is not None else "",
            field_text(sheet.field_of(row.name)) if row.operation is not None else "",
        )
    return _drawn(sheet, table, width)


def _drawn(sheet: "Anatomy", table: "Table", width: int | None) -> str:
    from rich.console import Console
    from rich.table import Table

    totals = Table(box=None, pad_edge=False, show_header=False)
    totals.add_column(no_wrap=True)
    totals.add_column()
    for line in summary(sheet):
        totals.add_row(*line)
    buffer = io.StringIO()
    # A number cut short is a wrong number: rather a line that a narrow terminal has to wrap.
    Console(file=buffer, width=_AS_WIDE_AS_IT_TAKES, color_system=None).print(table)
    console = Console(file=buffer, width=width or int(os.environ.get("COLUMNS", 120)), color_system=None)
    console.print()
    console.print(totals)
    return "\n".join(line.rstrip() for line in buffer.getvalue().rstrip().splitlines())


def as_html(sheet: "Anatomy", depth: int | None) -> str:
    """The table of modules and the totals as one HTML element, without a style of its own that could leak."""
    right = ' style="text-align:right"'
    head = "".join(f"<th>{html.escape(title)}</th>" for title in COLUMNS)
    body = []
    for node in sheet.modules.walk(depth):
        first, *others = cells(sheet, node)
        indent = f' style="padding-left:{0.5 + 1.2 * node.depth:.1f}em;text-align:left"'
        line = f"<td{indent}>{html.escape(first or sheet.name)}</td>"
        line += "".join(f"<td{right if i > 1 else ''}>{html.escape(each)}</td>" for i, each in enumerate(others))
        body.append(f"<tr>{line}</tr>")
    totals = "".join(f"<dt>{html.escape(a)}</dt><dd>{html.escape(b)}</dd>" for a, b in summary(sheet))
    rows = "\n".join(body)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table>"
    return f'<div class="convlens-anatomy"><dl>{totals}</dl>{table}</div>'


def records(sheet: "Anatomy") -> list[dict[str, Any]]:
    """One flat record for each operation."""
    return [
        {
            "name": row.name,
            "kind": row.kind,
            "module": row.module,
            "shape": list(row.shape),
            "parameters": row.parameters,
            "trainable": row.trainable,
            "frozen": row.frozen,
            "buffers": row.buffers,
            "macs": row.macs,
            "flops": row.flops,
            "bytes_read": row.bytes_read,
            "bytes_written": row.bytes_written,
            "intensity": row.intensity,
            "receptive_field": pattern(sheet.field_of(row.name)) if row.operation is not None else None,
        }
        for row in sheet.rows
    ]


def pattern(field: "ReceptiveField | None") -> dict[str, Any] | None:
    """Size, stride and offset of a field without gates, and whether there are any."""
    if field is None:
        return None
    local = field.local
    return {
        "size": list(local.size) if local.size else None,
        "stride": list(local.stride) if local.stride else None,
        "offset": list(local.offset) if local.offset else None,
        "word": local.word,
        "exact": local.exact,
        "gated": field.gateless is not None,
    }


def totals(sheet: "Anatomy") -> dict[str, Any]:
    """The totals as plain numbers; `training_memory`, part by part, for each optimiser that was asked about, if any."""
    planned = {optimizer: asdict(memory) for optimizer, memory in sheet.planned.items()}
    return {
        "name": sheet.name,
        "input": [list(each) for each in sheet.input_shapes],
        "output": [list(each) for each in sheet.output_shapes],
        "parameters": sheet.parameters,
        "trainable": sheet.trainable,
        "frozen": sheet.frozen,
        "buffers": sheet.buffers,
        "macs": sheet.macs,
        "flops": sheet.flops,
        "peak_memory": sheet.peak_memory,
        **({"training_memory": planned} if planned else {}),
        "not_counted": sheet.not_counted,
    }


def tree(sheet: "Anatomy", node: ModuleNode, depth: int | None = None) -> dict[str, Any]:
    """A module and those inside it as nested plain records."""
    return {
        "path": node.path,
        "kind": node.kind,
        "calls": node.calls,
        "shapes": [list(each) for each in node.shapes],
        "parameters": node.parameters,
        "trainable": node.trainable,
        "frozen": node.frozen,
        "shared": node.shared,
        "buffers": node.buffers,
        "macs": node.macs,
        "flops": node.flops,
        "not_counted": node.not_counted,
        "bytes_read": node.bytes_read,
        "bytes_written": node.bytes_written,
        "receptive_field": pattern(sheet.field_of(node.path)) if node.calls else None,
        "children": [tree(sheet, child, depth) for child in node.children if depth is None or child.depth <= depth],
    }


def as_json(sheet: "Anatomy", depth: int | None = None) -> str:
    """Totals, the tree of modules and the rows, as JSON."""
    content = {**totals(sheet), "modules": tree(sheet, sheet.modules, depth), "rows": records(sheet)}
    return json.dumps(content, indent=2, ensure_ascii=False)


def as_csv(sheet: "Anatomy") -> str:
    """The rows as CSV; shapes are written 1×64×56×56, what is unknown is left empty."""
    lines = [_flat(record) for record in records(sheet)]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(lines[0]) if lines else ["name"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return buffer.getvalue()


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """A record with one value in each cell: the receptive field as size and stride."""
    field = record.pop("receptive_field") or {}
    size, stride = field.get("size"), field.get("stride")
    return {
        **record,
        "shape": shape(record["shape"]),
        "field_size": shape(size) if size else "",
        "field_stride": "×".join(f"{each:g}" for each in stride) if stride else "",
        "field_exact": field.get("exact", ""),
        "field_gated": field.get("gated", ""),
    }


_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
dl { display: grid; grid-template-columns: max-content auto; gap: .15rem 1rem; }
dt { opacity: .7; } dd { margin: 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { position: sticky; top: 0; background: Canvas; text-align: right; } th:nth-child(-n+3) { text-align: left; }
td, th { padding: .15rem .6rem; white-space: nowrap; } tbody tr:hover { background: color-mix(in srgb, CanvasText 8%,
Canvas); }
"""


def as_page(sheet: "Anatomy", depth: int | None = None) -> str:
    """A whole web page with the totals and the table of modules; it loads nothing from elsewhere."""
    title = html.escape(sheet.name)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    body = f"<h1>{title}</h1>{as_html(sheet, depth)}"
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head>\n<body>{body}</body></html>'
