"""An anatomy as text, HTML, JSON and CSV."""

import csv
import html
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from convlens.anatomy.anatomy import Anatomy
from convlens.anatomy.calls import CallRow, call_rows
from convlens.anatomy.module_tree import ModuleNode
from convlens.anatomy.training_memory import TrainingMemory
from convlens.quantities import count, shape, size_in_bytes

if TYPE_CHECKING:
    from convlens.anatomy.receptive import ReceptiveField

Planned = Mapping[str, TrainingMemory]  # optimiser → the memory of a training step
_MORE = ("input", "kernel/stride", "dtype", "share")
_LEFT = {"module", "operation", "class", "output", "input", "kernel/stride", "dtype"}
_AS_WIDE_AS_IT_TAKES = 10_000


def field_text(field: "ReceptiveField | None") -> str:
    """Size and stride of a receptive field; with ≤ where it is a bound, with a star where gates let the image in."""
    if field is None:
        return ""
    local = field.local
    star, most = "*" if field.gateless is not None else "", "≤" if local.bounds else ""
    return f"{most}{local.size}/{local.stride}{star}" if local.regular else f"{most}{local.word}{star}"


@dataclass(frozen=True, kw_only=True)
class Lines:
    """A table for people: titles, and lines of cells of which the first is indented by its depth."""

    titles: tuple[str, ...]
    lines: tuple[tuple[int, tuple[str, ...]], ...]


def modules_table(sheet: Anatomy, depth: int | None, *, more: bool = False) -> Lines:
    """One line a module; with `more`, its input, kernel and stride, dtype and share of the MACs too."""
    titles = ("module", "class", "output", *(_MORE if more else ()), *_COSTS)
    lines = [(node.depth, _module_cells(sheet, node, more)) for node in sheet.modules.walk(depth)]
    return Lines(titles=titles, lines=tuple(lines))


def _module_cells(sheet: Anatomy, node: ModuleNode, more: bool) -> tuple[str, ...]:
    moved = node.bytes_read + node.bytes_written
    intensity = f"{node.flops / moved:.1f}" if moved and node.flops is not None else ""
    again = f" ×{node.calls}" if node.calls > 1 else ""
    parameters = count(node.parameters) + (f" (+{count(node.shared)} shared)" if node.shared else "")
    beside = (_shapes(node.inputs), _window(node.kernel, node.stride), node.dtype, _share(node.macs, sheet))
    return (
        node.name or sheet.name,
        node.kind + again,
        _shapes(node.outputs) if node.calls else "not called",
        *(beside if more else ()),
        parameters if node.parameters or node.shared else "",
        count(node.macs) if node.macs or node.not_counted else "",
        count(node.flops) if node.flops or node.not_counted else "",
        size_in_bytes(moved) if moved else "",
        intensity,
        field_text(sheet.field_of(node.path)) if node.calls else "",
    )


def operations_table(sheet: Anatomy, *, more: bool = False) -> Lines:
    """One line an operation, in order."""
    lines = []
    for row in sheet.rows:
        if row.is_room:
            continue
        moved = row.bytes_read + row.bytes_written
        beside = (_shapes(row.inputs), _window(row.kernel, row.stride), row.dtype, _share(row.macs, sheet))
        cells = (
            row.name,
            shape(row.shape) if row.shapes else "",
            *(beside if more else ()),
            count(row.parameters) if row.parameters else "",
            "" if row.macs == 0 else count(row.macs),
            "" if row.flops == 0 else count(row.flops),
            size_in_bytes(moved) if moved else "",
            f"{row.intensity:.1f}" if row.intensity is not None else "",
            field_text(sheet.field_of(row.name)) if row.operation is not None else "",
        )
        lines.append((0, cells))
    return Lines(titles=("operation", "output", *(_MORE if more else ()), *_COSTS), lines=tuple(lines))


def calls_table(sheet: Anatomy, depth: int | None) -> Lines:
    """One line a call of a module, in execution order."""
    titles = ("module", "class", "input", "output", "kernel/stride", "dtype", "parameters", "MACs", "FLOPs", "share")
    rows = [row for row in call_rows(sheet) if depth is None or row.depth <= depth]
    return Lines(titles=titles, lines=tuple((row.depth, _call_cells(sheet, row)) for row in rows))


def _call_cells(sheet: Anatomy, row: CallRow) -> tuple[str, ...]:
    again = f" (call {row.occurrence + 1})" if row.occurrence else ""
    unknown = "?" if row.not_counted else ""
    return (
        (row.path or sheet.name) + again,
        row.kind,
        _shapes(row.inputs),
        _shapes(row.outputs),
        _window(row.kernel, row.stride),
        row.dtype,
        count(row.parameters) if row.parameters else "",
        count(row.macs) if row.macs else unknown,
        count(row.flops) if row.flops else unknown,
        _share(row.macs, sheet),
    )


_COSTS = ("parameters", "MACs", "FLOPs", "moved", "FLOP/B", "field")
_SHOWN = 3  # shapes in one cell


def _shapes(shapes: Sequence[Sequence[int]]) -> str:
    return ", ".join(shape(each) for each in shapes[:_SHOWN]) + (", …" if len(shapes) > _SHOWN else "")


def _window(kernel: Sequence[int], stride: Sequence[int]) -> str:
    """Kernel and stride: 3×3/2 where the stride is the same along each axis, else 3×3/2×1."""
    if not kernel:
        return ""
    step = shape(stride[:1]) if len(set(stride)) == 1 else shape(stride)
    return f"{shape(kernel)}/{step}"


def _share(macs: int | None, sheet: Anatomy) -> str:
    return f"{macs / sheet.macs:.1%}" if macs and sheet.macs else ""


def summary(sheet: Anatomy, planned: Planned | None = None) -> list[tuple[str, str]]:
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
    for optimizer, memory in (planned or {}).items():
        parts = (
            f"{size_in_bytes(memory.saved)} saved for the backward pass, {size_in_bytes(memory.gradients)} gradients"
        )
        state = f"{size_in_bytes(memory.optimizer)} state of {optimizer}"
        lines.append(("training", f"{size_in_bytes(memory.total)} at the peak ({parts}, {state})"))
    if sheet.graph.real:
        lines.append(("recorded", "with numbers: it holds for this input, others may take another course"))
    if sheet.not_counted:
        named = ", ".join(f"{name} ({times}×)" for name, times in sheet.not_counted.items())
        lines.append(("not counted", named))
    return lines


def as_text(sheet: Anatomy, table: Lines, width: int | None = None, planned: Planned | None = None) -> str:
    """A table and the totals, drawn for a terminal."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for title in table.titles:
        drawn.add_column(title, justify="left" if title in _LEFT else "right", no_wrap=True)
    for depth, (first, *others) in table.lines:
        drawn.add_row("  " * depth + first, *others)
    totals = Table(box=None, pad_edge=False, show_header=False)
    totals.add_column(no_wrap=True)
    totals.add_column()
    for line in summary(sheet, planned):
        totals.add_row(*line)
    buffer = io.StringIO()
    # A number cut short is a wrong number: rather a line that a narrow terminal has to wrap.
    Console(file=buffer, width=_AS_WIDE_AS_IT_TAKES, color_system=None).print(drawn)
    console = Console(file=buffer, width=width or int(os.environ.get("COLUMNS", 120)), color_system=None)
    console.print()
    console.print(totals)
    return "\n".join(line.rstrip() for line in buffer.getvalue().rstrip().splitlines())


def as_html(sheet: Anatomy, table: Lines, planned: Planned | None = None) -> str:
    """A table and the totals as one HTML element, without a style of its own that could leak."""
    head = "".join(f"<th{_aligned(title)}>{html.escape(title)}</th>" for title in table.titles)
    body = []
    for depth, (first, *others) in table.lines:
        line = f'<td style="padding-left:{0.5 + 1.2 * depth:.1f}em;text-align:left">{html.escape(first)}</td>'
        cells = zip(table.titles[1:], others, strict=True)
        line += "".join(f"<td{_aligned(title)}>{html.escape(each)}</td>" for title, each in cells)
        body.append(f"<tr>{line}</tr>")
    totals = "".join(f"<dt>{html.escape(a)}</dt><dd>{html.escape(b)}</dd>" for a, b in summary(sheet, planned))
    rows = "\n".join(body)
    drawn = f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table>"
    return f'<div class="convlens-anatomy"><dl>{totals}</dl>{drawn}</div>'


def _aligned(title: str) -> str:
    return f' style="text-align:{"left" if title in _LEFT else "right"}"'


def records(sheet: Anatomy) -> list[dict[str, Any]]:
    """One flat record for each operation."""
    return [
        {
            "name": row.name,
            "kind": row.kind,
            "module": row.module,
            "shape": list(row.shape),
            "input": [list(each) for each in row.inputs],
            "kernel": list(row.kernel),
            "stride": list(row.stride),
            "dtype": row.dtype,
            "parameters": row.parameters,
            "trainable": row.trainable,
            "frozen": row.frozen,
            "buffers": row.buffers,
            "macs": row.macs,
            "share": row.macs / sheet.macs if row.macs and sheet.macs else 0.0,
            "flops": row.flops,
            "bytes_read": row.bytes_read,
            "bytes_written": row.bytes_written,
            "intensity": row.intensity,
            "receptive_field": pattern(sheet.field_of(row.name)) if row.operation is not None else None,
        }
        for row in sheet.rows
        if not row.is_room
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


def totals(sheet: Anatomy, planned: Planned | None = None) -> dict[str, Any]:
    """The totals as plain numbers; `training_memory`, part by part, for each optimiser that was asked about, if any."""
    memories = {optimizer: asdict(memory) for optimizer, memory in (planned or {}).items()}
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
        **({"training_memory": memories} if memories else {}),
        "not_counted": sheet.not_counted,
        "real": sheet.graph.real,
    }


def tree(sheet: Anatomy, node: ModuleNode, depth: int | None = None) -> dict[str, Any]:
    """A module and those inside it as nested plain records."""
    return {
        "path": node.path,
        "kind": node.kind,
        "calls": node.calls,
        "shapes": [list(each) for each in node.shapes],
        "outputs": [list(each) for each in node.outputs],
        "inputs": [list(each) for each in node.inputs],
        "kernel": list(node.kernel),
        "stride": list(node.stride),
        "dtype": node.dtype,
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


def as_json(sheet: Anatomy, depth: int | None = None, planned: Planned | None = None) -> str:
    """Totals, the tree of modules, the rows and the calls, as JSON."""
    content = {
        **totals(sheet, planned),
        "modules": tree(sheet, sheet.modules, depth),
        "rows": records(sheet),
        "calls": [asdict(row) for row in call_rows(sheet)],
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def as_csv(sheet: Anatomy) -> str:
    """The rows as CSV; shapes are written 1×64×56×56, what is unknown is left empty."""
    return _csv([_flat(record) for record in records(sheet)])


def calls_as_csv(sheet: Anatomy, depth: int | None = None) -> str:
    """The calls as CSV, in execution order."""
    rows = [row for row in call_rows(sheet) if depth is None or row.depth <= depth]
    return _csv([asdict(row) | _written_out(row) for row in rows])


def _written_out(row: CallRow) -> dict[str, str]:
    return {
        "inputs": " ".join(map(shape, row.inputs)),
        "outputs": " ".join(map(shape, row.outputs)),
        "kernel": shape(row.kernel) if row.kernel else "",
        "stride": shape(row.stride) if row.stride else "",
    }


def _csv(lines: Sequence[Mapping[str, Any]]) -> str:
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
        "input": " ".join(map(shape, record["input"])),
        "kernel": shape(record["kernel"]) if record["kernel"] else "",
        "stride": shape(record["stride"]) if record["stride"] else "",
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
th { position: sticky; top: 0; background: Canvas; }
td, th { padding: .15rem .6rem; white-space: nowrap; } tbody tr:hover { background: color-mix(in srgb, CanvasText 8%,
Canvas); }
"""


def as_page(sheet: Anatomy, table: Lines, planned: Planned | None = None) -> str:
    """A whole web page with the totals and a table; it loads nothing from elsewhere."""
    title = html.escape(sheet.name)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    body = f"<h1>{title}</h1>{as_html(sheet, table, planned)}"
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head>\n<body>{body}</body></html>'
