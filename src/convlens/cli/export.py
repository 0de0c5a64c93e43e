"""`convlens export`: a network as an artifact that has proved itself."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from convlens.shipping import Artifact


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
) -> int:
    """Ship a network: one file (OpenVINO: two) with its classes, its preprocessing and its proof inside.

    Example: convlens export runs/train/photos --to onnx

    Before anything is written, at least 64 images go through the network and through the artifact, alone and in
    batches; if the answers differ by more than rounding, nothing is written, and the first operation that differs is
    named.

    Args:
        source: A run folder, or the name of a network.
        to: onnx, openvino, torch, safetensors or plan, which the engine runs without PyTorch.
        out: The file to write; in the run's folder artifacts, or here for a network, if not given.
        precision: float32, bfloat16, int8, or auto for the fastest here whose accuracy holds.
        data: Images to prove it on and, for int8 and auto, to calibrate on and to measure accuracy with; the run's own
            if not given.
        weights: For the name of a network: published weights or a file of weights.
        classes: For the name of a network: a file of class names, one a line, in the order of the outputs.
        size: For the name of a network or code: 224, or 192,256 for height and width; the published one if not given.
        max_drop: Points of accuracy that int8 and auto may lose.
        batch: Images at a time when speeds are compared.
        json_: Print what was written as JSON.
        quiet: Print nothing but the result.
    """
    from convlens.classifiers import read_class_names
    from convlens.shipping.exporting import export as write
    from convlens.sizes import image_size

    artifact = write(
        source,
        to,
        out=out,
        precision=precision,
        data=data,
        weights=weights,
        classes=read_class_names(classes) if classes else None,
        size=image_size(size) if size else None,
        max_drop=max_drop,
        batch=batch,
        on_note=(lambda _: None) if quiet else (lambda note: print(note, file=sys.stderr)),
    )
    if json_:
        print(json.dumps(artifact.to_dict(), ensure_ascii=False, indent=2))
    else:
        _show(artifact)
    return 0


def _show(artifact: "Artifact") -> None:
    proof = artifact.manifest.proof
    size = sum(file.stat().st_size for file in artifact.files) / 1e6
    names = " and ".join(str(file) for file in artifact.files)
    print(f"{names}: {size:,.1f} MB, {artifact.manifest.precision}, {len(artifact.manifest.classes)} classes")
    print(
        f"proved on {proof['images_from']}, in batches of {', '.join(map(str, proof['batches']))}: "
        f"probabilities differ by at most {proof['largest_difference']:.1e}, {proof['agreement']:.1%} same answer"
    )
    if artifact.manifest.preprocessing_inside:
        print(
            f"begins at the decoded image: pixels are within {proof['pixel_levels']:.0f} of 256 levels of Pillow's, "
            f"probabilities within {proof['inside_difference']:.1e}"
        )
    print(f"try it: convlens predict {shlex.quote(str(artifact.path))} PHOTO.jpg")
