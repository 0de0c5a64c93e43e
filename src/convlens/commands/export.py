"""`convlens export`: a network as an artifact that has proved itself."""

import json
import shlex
import sys
from pathlib import Path

from convlens.classifiers import read_class_names
from convlens.shipping import Artifact
from convlens.shipping.exporting import export as write
from convlens.sizes import image_size


def export(
    source: str, *, to: str, out: Path | None, precision: str, data: str | None, weights: str | None,
    classes: Path | None, size: str | None, max_drop: float, batch: int, json_: bool, quiet: bool
) -> int:  # fmt: skip
    """Export a network to one file (OpenVINO: two) that includes its classes, preprocessing and proof."""
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


def _show(artifact: Artifact) -> None:
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
