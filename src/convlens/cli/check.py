"""`convlens check`: look at every image before training does."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from convlens.data.findings import Check


def check(
    data: str,
    /,
    *,
    html: Path | None = None,
    write_list: Path | None = None,
    exclude: Path | None = None,
    strict: bool = False,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    quiet: bool = False,
) -> int:
    """Find unreadable, repeated, leaking, contradicting and odd images.

    Example: convlens check photos/ --html check.html --write-list exclude.txt

    Args:
        data: A folder of images, a table, shards, an address, or digits; what convlens train takes.
        html: Write a page with thumbnails.
        write_list: Write what should be left out, one key a line, for convlens train --exclude.
        exclude: Leave out what such a list names.
        strict: End with exit code 1 if there are errors.
        json_: Print the findings as JSON and nothing else.
        quiet: Show no progress.
    """
    from convlens.cli.bar import bar
    from convlens.data import open_dataset
    from convlens.data.check_page import page_of
    from convlens.data.exclusions import write_exclusions
    from convlens.data.findings import check as look
    from convlens.files import write_text

    dataset = open_dataset(data, check_files=False, max_bad=1.0, exclude=exclude)
    with bar("checking", quiet or json_) as on_progress:
        result = look(dataset, on_progress=on_progress)
    if html:
        write_text(html, page_of(result))
    if write_list:
        write_exclusions(write_list, result.exclusions())
    if json_:
        print(json.dumps(_plain(result), ensure_ascii=False, indent=2))
    else:
        _show(result)
        for path, what in ((html, "page"), (write_list, "list")):
            if path:
                print(f"{what}: {path}")
    return 1 if strict and result.errors else 0


def _plain(result: "Check") -> dict[str, object]:
    from convlens.data.findings import KINDS

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


def _show(result: "Check") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from convlens.data.findings import KINDS

    console = Console(highlight=False)
    console.print(f"{result.images:,} images in {len(result.dataset.classes)} classes of {escape(result.dataset.name)}")
    for note in result.dataset.notes:
        console.print(f"  {escape(note)}", style="dim")
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
        example = first.keys[0] if first.keys else first.detail
        table.add_row(kind, str(len(result.of(kind))), meaning, escape(example), style=styles[severity])
    console.print(table)
