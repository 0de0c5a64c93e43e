"""`convlens frontier`: which network to take, on one's own images and machine."""

import json
import sys
from pathlib import Path
from shlex import quote
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from convlens.artifacts.artifact_formats import find_format
from convlens.choosing.choose import Asked, Stopped, choose, read_budget
from convlens.choosing.frontier import Frontier
from convlens.choosing.frontier_report import COLUMNS, cells
from convlens.choosing.limits import Limits
from convlens.choosing.study_progress import choose_progress
from convlens.cluster.trials import trials_on_ray
from convlens.commands.given_settings import given_settings
from convlens.errors import ConvlensError
from convlens.shipping import export
from convlens.sizes import image_size

_SHORT = {"parameters": "params", "candidate": ""}  # for a terminal of 80 columns


def frontier(
    data: str | None, *, networks: str, sizes: str | None, budget: str | None, trials: int | None,
    max_params: str | None, max_mb: str | None, max_macs: str | None, max_ms: str | None, max_memory: str | None,
    seeds: int, weights: bool, study: Path | None, ship: str | None, config: Path | None, ray: str | None, quiet: bool,
    json_: bool, **given: Any
) -> int:  # fmt: skip
    """Find the right network within your limits: train many briefly, and the best of them fully."""
    training = given_settings(data, config, given)
    if ship:
        find_format(ship)
    limits = {"max_params": max_params, "max_mb": max_mb, "max_macs": max_macs, "max_ms": max_ms}
    asked = Asked(
        data=str(training.pop("data", "") or _no_data()),
        networks=networks,
        sizes=_sizes(sizes),
        limits=Limits.read(limits | {"max_memory": max_memory}),
        weights=weights,
        seeds=seeds,
        trials=trials,
        budget=read_budget(budget),
        study=study,
        training=training,
    )
    progress = choose_progress(quiet)
    try:
        if ray is None:
            found = choose(asked, progress, progress.note)
        else:
            with trials_on_ray(ray, str(training.get("device") or "auto")) as on_nodes:
                found = choose(asked, progress, progress.note, run=on_nodes.run, begin=on_nodes.begin)
    finally:
        progress.close()
    if isinstance(found, Stopped):
        print(f"stopped; the same command goes on with {found.study}", file=sys.stderr)
        return 128 + found.signal
    if json_:
        print(json.dumps(found.to_dict(), ensure_ascii=False, indent=2, default=str))
    elif not quiet:
        _show(found)
    return _ship(found, ship, quiet or json_) if ship else 0


def _no_data() -> str:
    raise ConvlensError("no images to choose a network for; give a folder of images, or digits")


def _sizes(text: str | None) -> tuple[tuple[int, int] | None, ...]:
    return (None,) if text is None else tuple(image_size(part.strip()) for part in text.split(","))


def _show(found: Frontier) -> None:
    console = Console()
    shown = [index for index, title in enumerate(COLUMNS) if title not in ("95 % interval", "memory")]
    table = Table(*(_SHORT.get(COLUMNS[i], COLUMNS[i]) for i in shown), box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.columns[0].no_wrap = True
    for column in table.columns[1:-1]:
        column.justify, column.no_wrap = "right", True
    for entry in found.entries:
        row = cells(entry)
        table.add_row(*(row[i] for i in shown), style="bold" if entry.name == found.recommended else None)
    console.print(table)
    lines = [
        f"take      {found.recommended or 'none'}",
        f"because   {found.because}",
        *(_needed(found)),
        f"ended     {found.stopped_because} ({found.seconds:,.0f} s of training)",
        *(f"beware    {note}" for note in found.notes),
        f"study     {found.study}",
        f"figure    {found.study / 'frontier.html'}",
    ]
    if found.winner:
        lines.append(f"ship      convlens export {quote(str(found.winner))} --to onnx")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _needed(found: Frontier) -> list[str]:
    """How many images would settle what these do not."""
    open_ones = [each for each in found.comparisons if not each.distinguished and each.images_needed]
    return [
        f"noise     {each.best} and {each.other}: about {each.images_needed:,} images would show such a difference"
        for each in open_ones
    ]


def _ship(found: Frontier, to: str, quiet: bool) -> int:
    if found.winner is None:
        raise ConvlensError(f"nothing to ship: {found.because}; raise that limit")
    note = (lambda _: None) if quiet else (lambda text: print(text, file=sys.stderr))
    artifact = export(found.winner, to, on_note=note)
    print(f"shipped   {artifact.path}", file=sys.stderr if quiet else sys.stdout)
    return 0
