"""What `convlens frontier` takes, and its help."""

from pathlib import Path
from typing import Any

from convlens.choosing.candidates import USUAL
from convlens.cli.train_options import CONFIG, JSON, QUIET, RAY, takes_settings


def frontier(**given: Any) -> None:
    """Find the right network within your limits: train many briefly, and the best of them fully.

    Leaves a study with frontier.html, which opens offline. Nothing is lost by Ctrl-C, a kill or a power failure:
    the same command continues.

    Example: convlens frontier photos/ --networks 'resnet*,efficientnet_b0..b2' --sizes 96,160 --budget 30m --max-ms 8
    """


takes_settings(
    frontier,
    [
        ("networks", str, USUAL, "Names, patterns and ranges, such as 'resnet*,efficientnet_b0..b2'."),
        ("sizes", str | None, None, "Input sizes in pixels, such as 96,160,224. Default: chosen from the images."),
        ("budget", str | None, None, "Time for all trainings, such as 30m or 2h."),
        ("trials", int | None, None, "Largest number of candidates to try. Default: all."),
        ("max_params", str | None, None, "Largest number of parameters, such as 10M."),
        ("max_mb", str | None, None, "Largest file, in MB."),
        ("max_macs", str | None, None, "Largest number of multiply-adds for one image, such as 300M."),
        (
            "max_ms",
            str | None,
            None,
            "Longest time for one image in milliseconds, on the fastest runtime of this machine.",
        ),
        ("max_memory", str | None, None, "Most memory for one inference, such as 200MB."),
        ("seeds", int, 1, "Number of trainings of each candidate that reaches the last rung. [default: 1]"),
        ("weights", bool, True, "Also try published weights that are on this machine. [default: True]"),
        ("study", Path | None, None, "Folder of the study. Default: runs/frontier/ and the name of the data."),
        ("ship", str | None, None, "Export the recommended network: onnx, openvino, torch, safetensors or plan."),
        CONFIG,
        RAY,
        QUIET,
        JSON,
    ],
    without=("network", "weights", "size", "name", "runs", "log"),
)
