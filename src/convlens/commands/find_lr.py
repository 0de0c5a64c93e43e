"""`convlens find-lr`: which learning rate to begin with; its flags are those of `convlens train`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Any

from convlens.commands.bar import bar
from convlens.commands.given_settings import as_flags, given_settings
from convlens.evaluation.figures import check_png, save_png
from convlens.training.rate_finder import find_rate
from convlens.training.settings import settle


def find_lr(
    data: str | None, *, lowest: float, highest: float, steps: int, config: Path | None, figure: Path | None,
    quiet: bool, json_: bool, **given: Any
) -> int:  # fmt: skip
    """Raise the learning rate step by step until the loss diverges, and suggest the rate at which it fell fastest."""
    if figure:
        check_png(figure)
    settings = given_settings(data, config, given)
    notes: list[str] = []
    with bar("sweeping", quiet or json_) as on_progress:
        found = find_rate(
            settle(settings), lowest=lowest, highest=highest, steps=steps, say=notes.append, on_progress=on_progress
        )
    for note in () if quiet or json_ else notes:
        print(note, file=sys.stderr)
    if figure:
        save_png(found.figure(), figure)
    if json_:
        print(json.dumps(asdict(found), indent=2))
        return 0
    print(f"the loss falls fastest at {found.suggestion:.2g} and is smallest at {found.largest:.2g}")
    flags = as_flags({"config": config} | given | {"lr": f"{found.suggestion:.2g}", "batch": found.batch})
    print(f"train     convlens train {quote(data) + ' ' if data else ''}{flags}")
    if figure:
        print(f"figure    {figure}")
    return 0
