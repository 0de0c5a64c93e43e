"""What `convlens export` takes, and its help."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def export(
    source: str,
    *,
    to: str,
    out: Path | None = None,
    precision: str = "float32",
    data: str | None = None,
    weights: str | None = None,
    classes: Path | None = None,
    size: str | None = None,
    max_drop: float = 0.5,
    batch: int = 1,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    quiet: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Export a network to one file (OpenVINO: two) that includes its classes, preprocessing and proof.

    Example: convlens export runs/train/photos --to onnx

    Before anything is written, at least 64 images go through the network and through the artifact, alone and in
    batches. If the answers differ by more than rounding, nothing is written, and the first operation that differs is
    named.

    Args:
        source: What to export: a run folder, a network's name, or my_net.py:Net.
        to: Format: onnx, openvino, torch, safetensors, or plan (for the engine, without PyTorch).
        out: File to write. Default: in artifacts/ of the run folder, or here for a network's name.
        precision: Precision: float32, bfloat16, int8, or auto for the fastest on this machine that keeps the accuracy.
        data: Images to compare answers on; for int8 and auto, also to calibrate and measure accuracy. Default: the
            run's own.
        weights: Weights for a network's name or code: a published name, such as imagenet1k_v1, or a file.
        classes: Text file of class names for a file of weights: one name per line, in the order of the outputs.
        size: Input size in pixels for a network's name or code: 224, or 192,256 for height and width. Default: the
            published size.
        max_drop: Largest loss of accuracy for int8 and auto, in percentage points.
        batch: Number of images per call when auto compares speeds.
        json_: Print the result as JSON and nothing else.
        quiet: Print nothing but the result.
    """
