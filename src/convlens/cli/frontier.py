"""What `convlens frontier` takes, and its help."""

from pathlib import Path
from typing import Any

from convlens.choosing.candidates import USUAL
from convlens.cli.train_options import takes_settings


def frontier(**given: Any) -> None:
    """Find the network to take: train many a little and the best of them to their end, within limits.

    Leaves a study with frontier.html, which opens offline. Ctrl-C, a kill or a power failure lose nothing: the same
    command goes on.

    Example: convlens frontier photos/ --networks 'resnet*,efficientnet_b0..b2' --sizes 96,160 --budget 30m --max-ms 8
    """


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
