"""What `convlens train` takes, and its help."""

from typing import Any

from convlens.cli.train_options import CONFIG, JSON, QUIET, RAY, takes_settings


def train(**given: Any) -> None:
    """Train a network on labelled images, and write a run folder for evaluation, prediction and export.

    DATA is a folder with one folder per class, optionally below train/, val/ and test/, or another source that
    docs/data.md describes, or `digits`.

    Example: convlens train photos/ --network resnet18 --epochs 30

    Options take precedence over the file of --config. Ctrl-C stops after the current step. After that, or after a
    power failure, convlens train --resume RUN continues exactly where it stopped.
    """


takes_settings(
    train,
    [
        CONFIG,
        ("resume", str | None, None, "Run folder of an interrupted training to continue, or its address."),
        (
            "seeds",
            int,
            1,
            "Number of trainings, with seeds counting up from --seed; prints the mean and its 95 % interval.",
        ),
        RAY,
        ("processes", int | None, None, "With --ray: number of processes that train together. Default: 1."),
        (
            "min_processes",
            int | None,
            None,
            "With --ray: number of processes that suffice when nodes are lost. Default: all.",
        ),
        QUIET,
        JSON,
    ],
)
