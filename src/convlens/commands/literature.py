"""`convlens compare --literature`: the lecture's last figure and its claims, as published and recomputed."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

from rich.console import Console
from rich.table import Table

from convlens.lessons.literature import Compared, compare, papers
from convlens.lessons.literature_claims import Claim, claims
from convlens.lessons.literature_figure import check_figure, draw_figure_1
from convlens.quantities import count, percent


def compare_literature(figure: Path | None, *, as_json: bool) -> None:
    """Print tables 2 and 4 of the EfficientNet paper, the other papers, and the lecture's claims; draw figure 1.

    Raises:
        ConvlensError: the figure has another suffix than .png, .svg or .pdf.
    """
    if figure is not None:
        check_figure(figure)
    rows = compare(papers())
    said = claims(rows)
    if figure is not None:
        draw_figure_1(rows, figure)
    if as_json:
        print(json.dumps(_as_dict(rows, said, figure), indent=2, ensure_ascii=False))
    else:
        _show(rows, said)
        if figure is not None:
            print(f"figure    {figure}")


def _show(rows: Sequence[Compared], said: Sequence[Claim]) -> None:
    console = Console(file=sys.stdout, width=max(get_terminal_size((110, 24)).columns, 110), highlight=False)
    tan = [row for row in rows if row.stated.in_figure_1]
    console.print("Tan and Le, 2019: figure 1 and table 2", style="bold")
    console.print(_table(tan))
    console.print("\nTable 4: seconds for one image on one core, as published", style="bold")
    console.print(_seconds([row for row in tan if row.stated.seconds is not None]))
    console.print("\nThe networks' own papers", style="bold")
    console.print(_table([row for row in rows if not row.stated.in_figure_1]))
    console.print(
        "\nas published: no network of ours; –: not stated. Accuracies are the papers', with their protocols."
    )
    console.print("\nWhat the lecture says", style="bold")
    for claim in said:
        console.print(f"· {claim.text}")


def _table(rows: Sequence[Compared]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("network", no_wrap=True)
    for column in ("parameters", "recomputed", "MACs", "recomputed", "at", "top-1", "top-5"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        stated = row.stated
        table.add_row(
            stated.network,
            _stated(stated.parameters),
            "as published" if row.parameters is None else f"{row.parameters:,}",
            _stated(stated.macs),
            "as published" if row.macs is None else count(row.macs),
            "–" if stated.size is None else f"{stated.size[0]} px",
            percent(stated.top1),
            percent(stated.top5),
        )
    return table


def _seconds(rows: Sequence[Compared]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for row in rows:
        table.add_row(row.stated.network, f"{row.stated.seconds:g} s")
    return table


def _stated(number: float | None) -> str:
    return "–" if number is None else count(round(number))


def _as_dict(rows: Sequence[Compared], said: Sequence[Claim], figure: Path | None) -> dict[str, Any]:
    return {
        "networks": [
            {
                "source": row.stated.source,
                "network": row.stated.network,
                "ours": row.stated.ours,
                "parameters_published": row.stated.parameters,
                "parameters": row.parameters,
                "macs_published": row.stated.macs,
                "macs": row.macs,
                "size": None if row.stated.size is None else list(row.stated.size),
                "top1_published": row.stated.top1,
                "top5_published": row.stated.top5,
                "seconds_published": row.stated.seconds,
                "note": row.stated.note,
            }
            for row in rows
        ],
        "claims": [
            {"text": claim.text, "stated": claim.stated, "found": claim.found, "recomputed": claim.counted}
            for claim in said
        ],
        "figure": None if figure is None else str(figure),
    }
