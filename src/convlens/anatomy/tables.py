"""An anatomy as text, HTML, JSON and CSV."""

import csv
import html
import io
import json
import os
from typing import TYPE_CHECKING, Any

from convlens.anatomy.quantities import count, shape, size_in_bytes
from convlens.anatomy.tree import ModuleNode

if TYPE_CHECKING:
    from convlens.anatomy.sheet import Anatomy

COLUMNS = ("module", "class", "output", "parameters", "MACs", "FLOPs", "moved", "FLOP/B")


def cells(node: ModuleNode) -> tuple[str, ...]:
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
    if sheet.not_counted:
        named = ", ".join(f"{name} ({times}×)" for name, times in sheet.not_counted.items())
        lines.append(("not counted", named))
    return lines


def as_text(sheet: "Anatomy", depth: int | None, width: int | None) -> str:
    """The table of modules and the totals, drawn for a terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, title in enumerate(COLUMNS):
        table.add_column(title, justify="left" if number < 3 else "right", no_wrap=True)
    for node in sheet.modules.walk(depth):
        first, *others = cells(node)
        table.add_row("  " * node.depth + (first or sheet.name), *others)
    totals = Table(box=None, pad_edge=False, show_header=False)
    totals.add_column(no_wrap=True)
    totals.add_column()
    for line in summary(sheet):
        totals.add_row(*line)
    buffer = io.StringIO()
    console = Console(file=buffer, width=width or int(os.environ.get("COLUMNS", 120)), color_system=None)
    console.print(table)
    console.print()
    console.print(totals)
    return "\n".join(line.rstrip() for line in buffer.getvalue().rstrip().splitlines())


def as_html(sheet: "Anatomy", depth: int | None) -> str:
    """The table of modules and the totals as one HTML element, without a style of its own that could leak."""
    right = ' style="text-align:right"'
    head = "".join(f"<th>{html.escape(title)}</th>" for title in COLUMNS)
    body = []
    for node in sheet.modules.walk(depth):
        first, *others = cells(node)
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
        }
        for row in sheet.rows
    ]


def totals(sheet: "Anatomy") -> dict[str, Any]:
    """The totals as plain numbers."""
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
        "not_counted": sheet.not_counted,
    }


def tree(node: ModuleNode, depth: int | None = None) -> dict[str, Any]:
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
        "children": [tree(child, depth) for child in node.children if depth is None or child.depth <= depth],
    }


def as_json(sheet: "Anatomy", depth: int | None = None) -> str:
    """Totals, the tree of modules and the rows, as JSON."""
    content = {**totals(sheet), "modules": tree(sheet.modules, depth), "rows": records(sheet)}
    return json.dumps(content, indent=2, ensure_ascii=False)


def as_csv(sheet: "Anatomy") -> str:
    """The rows as CSV; shapes are written 1×64×56×56, what is unknown is left empty."""
    lines = [{**record, "shape": shape(record["shape"])} for record in records(sheet)]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(lines[0]) if lines else ["name"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return buffer.getvalue()
