"""What `convlens evaluate` takes, and its help."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def evaluate(
    source: str,
    data: str | None = None,
    *,
    split: str | None = None,
    columns: str | None = None,
    batch: int = 64,
    device: str = "auto",
    runtime: str | None = None,
    threads: int | None = None,
    weights: str | None = None,
    classes: Path | None = None,
    tta: bool = False,
    report: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    quiet: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Measure a trained network on labelled images: accuracy with its 95 % interval, and where it fails.

    Example: convlens evaluate runs/train/photos photos/ --split test

    Args:
        source: What answers: a run folder, an artifact, a network's name (its weights must be installed), or
            my_net.py:Net.
        data: Labelled images, as for convlens train. Default: the training's own.
        split: Split to measure: train, val, test or all. Default: test, else val, else train; all of any data other
            than the training's that name no splits.
        columns: Column names of a table, separated by commas: paths, labels and, optionally, splits. Example:
            image_id,label.
        batch: Number of images in one pass through the network.
        device: Device to compute on: auto, cpu, cuda or cuda:1.
        runtime: Runtime that computes: torch, onnxruntime, openvino, engine, or auto for the fastest on this machine.
            Default: torch for a run, its own for an artifact.
        threads: Number of processor threads. Default: as many as the container has processors.
        weights: Weights for a network's name or code: a published name, such as imagenet1k_v1, or a file.
        classes: Text file of class names for a file of weights: one name per line, in the order of the outputs.
        tta: Average the answers over several views of each image: slightly shifted, and mirrored where the data allow
            it.
        report: HTML file for the report. Default: in evaluation/ of the run folder.
        json_: Print the figures as JSON and nothing else; a report is then written only with --report.
        quiet: Print nothing but the figures.
    """
