"""What `convlens find-lr` takes, and its help."""

from pathlib import Path
from typing import Any

from convlens.cli.train_options import CONFIG, takes_settings


def find_lr(**given: Any) -> None:
    """Raise the learning rate step by step until the loss diverges, and suggest the rate at which it fell fastest.

    Example: convlens find-lr photos/ --network resnet18 --optimizer sgd
    """


takes_settings(
    find_lr,
    [
        ("lowest", float, 1e-6, "First learning rate."),
        ("highest", float, 1.0, "Last learning rate."),
        ("steps", int, 100, "Number of steps from the first rate to the last."),
        CONFIG,
        ("figure", Path | None, None, "PNG file to draw the loss to."),
        ("quiet", bool, False, "Show no progress."),
        ("json_", bool, False, "Print the rates and losses as JSON and nothing else."),
    ],
    without=(
        *("lr", "epochs", "warmup", "freeze_epochs", "ema", "monitor", "patience", "log", "name", "runs"),
        *("checkpoint_seconds", "checkpoint_steps", "precision", "memory_format", "compile", "tune"),
    ),
)
