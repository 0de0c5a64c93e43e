"""`convlens check`: look at every image before training does."""

import json
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from convlens.commands.bar import bar
from convlens.data.check_page import page_of
from convlens.data.exclusions import write_exclusions
from convlens.data.findings import KINDS, Check
from convlens.data.findings import check as look
from convlens.data.opening import survey
from convlens.errors import ConvlensError, legible
from convlens.files import write_text


def check(
    data: str, /, *, html: Path | None, write_list: Path | None, look_alikes: bool, exclude: Path | None,
    columns: str | None, strict: bool, json_: bool, quiet: bool
) -> int:  # fmt: skip
    """Find unreadable, repeated, leaking, contradicting and odd images."""
    if look_alikes and write_list is None:
        raise ConvlensError("--look-alikes is about the list; add --write-list FILE")
    dataset = survey(data, exclude=exclude, columns=columns)
    with bar("checking", quiet or json_) as on_progress:
        result = look(dataset, on_progress=on_progress)
    if html:
        write_text(html, page_of(result))
    if write_list:
        listed = result.exclusions(look_alikes=look_alikes)
        write_exclusions(write_list, listed)
    if json_:
        print(json.dumps(_plain(result), ensure_ascii=False, indent=2))
    else:
        _show(result)
        if html:
            print(f"page: {html}")
        if write_list:
            print(f"list: {write_list} leaves out {len(listed):,} of {result.images:,} images")
    return 1 if strict and result.errors else 0


def _plain(result: Check) -> dict[str, object]:
    return {
        "data": result.dataset.name,
        "images": result.images,
        "classes": {split: result.dataset.counts(split) for split in result.dataset.splits},
        "errors": result.errors,
        "notes": list(result.dataset.notes),
        "findings": [
            {"kind": f.kind, "severity": KINDS[f.kind][0], "keys": list(f.keys), "detail": f.detail}
            for f in result.findings
        ],
    }


def _show(result: Check) -> None:
    console = Console(highlight=False)
    console.print(
        f"{result.images:,} images in {len(result.dataset.classes)} classes of {escape(legible(result.dataset.name))}"
    )
    for note in result.dataset.notes:
        console.print(f"  {escape(legible(note))}", style="dim")
    kinds = [kind for kind in KINDS if result.of(kind)]
    if not kinds:
        console.print("nothing to complain about")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("found", "how many", "what it means", "such as"):
        table.add_column(column, justify="right" if column == "how many" else "left", overflow="fold")
    styles = {"error": "red", "warning": "yellow", "note": "dim"}
    for kind in kinds:
        severity, meaning = KINDS[kind]
        first = result.of(kind)[0]
        example = legible(first.keys[0] if first.keys else first.detail)
        table.add_row(kind, str(len(result.of(kind))), meaning, escape(example), style=styles[severity])
    console.print(table)
