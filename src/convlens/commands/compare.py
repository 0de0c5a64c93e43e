"""`convlens compare`: networks side by side."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from shutil import get_terminal_size

from rich.console import Console
from rich.table import Table

from convlens.anatomy import Anatomy, inspect
from convlens.anatomy.comparison import Stage, stages
from convlens.anatomy.tables import totals
from convlens.classifiers import resolve
from convlens.commands.literature import compare_literature
from convlens.errors import ConvlensError
from convlens.quantities import count, shape, size_in_bytes
from convlens.sizes import read_size


def compare(
    *sources: str,
    size: str | None,
    literature: bool,
    figure: Path | None,
    json_: bool,
) -> int:
    """Compare networks: totals, then stage by stage. A stage is all operations on maps of one size."""
    if literature:
        if sources or size is not None:
            raise ConvlensError("--literature compares the networks of the papers; leave the others and --size out")
        compare_literature(figure, as_json=json_)
        return 0
    if figure is not None:
        raise ConvlensError(
            "--figure draws the literature's figure; add --literature, or use convlens inspect --figure"
        )
    if len(sources) < 2:
        raise ConvlensError(f"compare needs two networks or more, not {len(sources)}: convlens compare vgg16 resnet50")
    opened = [resolve(source) for source in sources]
    shapes = [each.shape if size is None else read_size(size, each.shape[0]) for each in opened]
    sheets = [
        inspect(each.structure(), shape, name=source)
        for each, shape, source in zip(opened, shapes, sources, strict=True)
    ]
    parts = [stages(sheet) for sheet in sheets]
    if json_:
        content = [
            {**totals(sheet), "stages": [stage.to_dict() for stage in found]}
            for sheet, found in zip(sheets, parts, strict=True)
        ]
        print(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        _show(sheets, parts)
    return 0


def _show(sheets: Sequence[Anatomy], parts: Sequence[Sequence[Stage]]) -> None:
    console = Console(file=sys.stdout, width=max(get_terminal_size((120, 24)).columns, 20 + 22 * len(sheets)))
    console.print(_totals(sheets))
    console.print()
    console.print(_stages(sheets, parts))


def _table(sheets: Sequence[Anatomy], first: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, no_wrap=True)
    for sheet in sheets:
        table.add_column(sheet.name, justify="right", overflow="fold")
    return table


def _totals(sheets: Sequence[Anatomy]) -> Table:
    table = _table(sheets, "")
    lines = {
        "input": [" ".join(shape(each) for each in sheet.input_shapes) for sheet in sheets],
        "parameters": [count(sheet.parameters) for sheet in sheets],
        "MACs": [count(sheet.macs) for sheet in sheets],
        "FLOPs": [count(sheet.flops) for sheet in sheets],
        "peak memory": [size_in_bytes(sheet.peak_memory) for sheet in sheets],
        "weights": [size_in_bytes(sheet.memory.parameters) for sheet in sheets],
        "operations": [str(sum(not (row.is_view or row.is_room) for row in sheet.rows)) for sheet in sheets],
    }
    if any(sheet.not_counted for sheet in sheets):
        lines["not counted"] = [", ".join(sheet.not_counted) or "nothing" for sheet in sheets]
    for title, cells in lines.items():
        table.add_row(title, *cells)
    return table


def _stages(sheets: Sequence[Anatomy], parts: Sequence[Sequence[Stage]]) -> Table:
    """One block for each map size: what each network does there."""
    table = _table(sheets, "map, as a part of the image")
    for rows in sorted({stage.rows for found in parts for stage in found}, reverse=True):
        here = [next((stage for stage in found if stage.rows == rows), None) for found in parts]
        title = "no map (pooled, classifier)" if not rows else f"1/{1 / rows:.3g}" if rows < 1 else f"{rows:.3g}"
        table.add_row(title, *(f"{shape(s.map_size)}, {s.channels} ch" if s and s.map_size else "" for s in here))
        for name, cells in (
            ("  layers", [str(s.layers) if s else "" for s in here]),
            ("  parameters", [count(s.parameters) if s else "" for s in here]),
            ("  MACs", [count(s.macs) if s else "" for s in here]),
            ("  receptive field", [shape([int(each) for each in s.field]) if s and s.field else "" for s in here]),
        ):
            if any(cell not in ("", "0") for cell in cells):
                table.add_row(name, *cells)
    return table
