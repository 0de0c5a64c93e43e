"""`convlens find-lr`: which learning rate to begin with; its flags are those of `convlens train`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Any

from convlens.cli.train_options import as_flags, given_settings, takes_settings


def find_lr(
    data: str | None = None,
    *,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 100,
    config: Path | None = None,
    figure: Path | None = None,
    quiet: bool = False,
    json_: bool = False,
    **given: Any,
) -> int:
    """Raise the learning rate step by step until the loss diverges, and suggest the rate at which it fell fastest.

    Example: convlens find-lr photos/ --network resnet18 --optimizer sgd
    """
    from convlens.cli.bar import bar
    from convlens.evaluation.figures import check_png, save_png
    from convlens.training.rate_finder import find_rate
    from convlens.training.settings import settle

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
    flags = as_flags({"config": config} | given | {"lr": f"{found.suggestion:.2g}"})
    print(f"train     convlens train {quote(data) + ' ' if data else ''}{flags}")
    if figure:
        print(f"figure    {figure}")
    return 0


takes_settings(
    find_lr,
    [
        ("lowest", float, 1e-6, "First learning rate."),
        ("highest", float, 1.0, "Last learning rate."),
        ("steps", int, 100, "Number of steps from the first rate to the last."),
        ("config", Path | None, None, "YAML file of settings, named as the options are."),
        ("figure", Path | None, None, "PNG file to draw the loss to."),
        ("quiet", bool, False, "Show no progress."),
        ("json_", bool, False, "Print the rates and losses as JSON and nothing else."),
    ],
    without=(
        *("lr", "epochs", "warmup", "freeze_epochs", "ema", "monitor", "patience", "log", "name", "runs"),
        *("checkpoint_seconds", "checkpoint_steps", "precision", "memory_format", "compile", "tune"),
    ),
)
