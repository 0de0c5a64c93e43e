"""What `convlens benchmark` takes, and its help."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def benchmark(
    *sources: str,
    batch: str | None = None,
    threads: int | None = None,
    runtime: str = "all",
    precision: str = "all",
    data: str | None = None,
    size: str | None = None,
    seconds: float = 2.0,
    memory: bool = True,
    layers: int = 5,
    claim: Annotated[bool, Parameter(negative="")] = False,
    out: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    quiet: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Measure speed, memory, size and accuracy of networks on every runtime in every precision.

    Example: convlens benchmark runs/train/photos resnet50 --batch 1,8 --threads 2

    All variants are timed in turns, so that none profits if the machine slows down. Shares of the peak are relative to
    the arithmetic of a large matrix product and the bandwidth of a large sum, measured on this machine.

    Args:
        sources: Run folders, artifacts, or networks' names (with untrained weights).
        batch: Numbers of images per call, separated by commas. Default: 1,8,32.
        threads: Number of processor threads of one call. Default: as many as the container has processors.
        runtime: Runtimes to measure: torch, onnxruntime, openvino, engine, separated by commas, or all.
        precision: Precisions to measure: float32, bfloat16, int8, separated by commas, or all.
        data: Labelled images to measure accuracy on.
        size: Input size in pixels for a network's name or code: 224, or 192,256 for height and width. Default: the
            published size.
        seconds: Seconds of timing for each variant and batch size.
        memory: Measure memory, each variant in a process of its own.
        layers: Number of the most expensive layers to list.
        claim: Measure the lecture's last slide: EfficientNet-B1 against ResNet-152, batch 1, one core.
        out: Folder for benchmark.csv, benchmark.json and benchmark.png. Default: no files are written.
        json_: Print the result as JSON and nothing else.
        quiet: Show no progress.
    """
