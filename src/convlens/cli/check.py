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
    look_alikes: Annotated[bool, Parameter(negative="")] = False,
    exclude: Path | None = None,
    columns: str | None = None,
    strict: bool = False,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    quiet: bool = False,
) -> int:
    """Find unreadable, repeated, leaking, contradicting and odd images.

    Example: convlens check photos/ --html check.html --write-list exclude.txt

    Args:
        data: Images to check, as for convlens train: a folder, a table, shards, an address, or digits.
        html: Write the findings with thumbnails to this HTML file.
        write_list: Write the images to leave out to this text file, one per line, for convlens train --exclude:
            unreadable images, contradictions, and all but one of each set of proven copies.
        look_alikes: Also list images that merely look like others.
        exclude: Text file listing images to leave out.
        columns: Column names of a table, separated by commas: paths, labels and, optionally, splits. Example:
            image_id,label.
        strict: End with exit code 1 if there are errors.
        json_: Print the findings as JSON and nothing else.
        quiet: Show no progress.
    """
    from convlens.cli.bar import bar
    from convlens.data.check_page import page_of
    from convlens.data.exclusions import write_exclusions
    from convlens.data.findings import check as look
    from convlens.data.opening import survey
    from convlens.errors import ConvlensError
    from convlens.files import write_text

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
    from convlens.errors import legible

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
