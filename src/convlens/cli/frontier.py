"""`convlens frontier`: which network to take, on one's own images and machine."""

import json
import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from convlens.choosing.candidates import USUAL
from convlens.cli.train_options import given_settings, takes_settings
from convlens.errors import ConvlensError

if TYPE_CHECKING:
    from convlens.choosing.frontier import Frontier

_SHORT = {"parameters": "params", "candidate": ""}  # for a terminal of 80 columns


def frontier(
    data: str | None = None,
    *,
    networks: str = USUAL,
    sizes: str | None = None,
    budget: str | None = None,
    trials: int | None = None,
    max_params: str | None = None,
    max_mb: str | None = None,
    max_macs: str | None = None,
    max_ms: str | None = None,
    max_memory: str | None = None,
    seeds: int = 1,
    weights: bool = True,
    study: Path | None = None,
    ship: str | None = None,
    config: Path | None = None,
    ray: str | None = None,
    quiet: bool = False,
    json_: bool = False,
    **given: Any,
) -> int:
    """Find the network to take: train many a little and the best of them to their end, within limits.

    Leaves a study with frontier.html, which opens offline. Ctrl-C, a kill or a power failure lose nothing: the same
    command goes on.

    Example: convlens frontier photos/ --networks 'resnet*,efficientnet_b0..b2' --sizes 96,160 --budget 30m --max-ms 8
    """
    from convlens.choosing.choose import Asked, Stopped, choose, read_budget
    from convlens.choosing.limits import Limits
    from convlens.choosing.study_progress import choose_progress

    training = given_settings(data, config, given)
    if ship:
        from convlens.artifacts.artifact_formats import find_format

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
            from convlens.cluster.trials import trials_on_ray

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
    from convlens.sizes import image_size

    return (None,) if text is None else tuple(image_size(part.strip()) for part in text.split(","))


def _show(found: "Frontier") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from convlens.choosing.frontier_report import COLUMNS, cells

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


def _needed(found: "Frontier") -> list[str]:
    """How many images would settle what these do not."""
    open_ones = [each for each in found.comparisons if not each.distinguished and each.images_needed]
    return [
        f"noise     {each.best} and {each.other}: about {each.images_needed:,} images would show such a difference"
        for each in open_ones
    ]


def _ship(found: "Frontier", to: str, quiet: bool) -> int:
    from convlens.shipping import export

    if found.winner is None:
        raise ConvlensError(f"nothing to ship: {found.because}; raise that limit")
    note = (lambda _: None) if quiet else (lambda text: print(text, file=sys.stderr))
    artifact = export(found.winner, to, on_note=note)
    print(f"shipped   {artifact.path}", file=sys.stderr if quiet else sys.stdout)
    return 0


takes_settings(
    frontier,
    [
        ("networks", str, USUAL, "Names, patterns and ranges, such as 'resnet*,efficientnet_b0..b2'."),
        ("sizes", str | None, None, "Of inputs, such as 96,160,224; from the images if not given."),
        ("budget", str | None, None, "Time for all trainings, such as 30m or 2h."),
        ("trials", int | None, None, "Candidates that are tried at most; all if not given."),
        ("max_params", str | None, None, "Most parameters, such as 10M."),
        ("max_mb", str | None, None, "Largest file, in MB."),
        ("max_macs", str | None, None, "Most multiply-adds for an image, such as 300M."),
        ("max_ms", str | None, None, "Most milliseconds for an image, on the fastest runtime of this machine."),
        ("max_memory", str | None, None, "Most memory of an inference, such as 200MB."),
        ("seeds", int, 1, "Trainings of each candidate that reaches the last rung. [default: 1]"),
        ("weights", bool, True, "Try published weights that are on this machine, too. [default: True]"),
        ("study", Path | None, None, "Folder of the study; runs/frontier and the name of the data if not given."),
        ("ship", str | None, None, "Export the recommended network: onnx, openvino, torch, safetensors or plan."),
        ("config", Path | None, None, "YAML file of training settings, with the same names as the flags."),
        (
            "ray",
            str | None,
            None,
            "Train on a Ray cluster: host:port of its head node. Without a value: this machine's.",
        ),
        ("quiet", bool, False, "Print nothing but errors."),
        ("json_", bool, False, "Print the result as JSON; progress goes to the error stream."),
    ],
    without=("network", "weights", "size", "name", "runs", "log"),
)
