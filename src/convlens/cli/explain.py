"""`convlens explain`: where on an image a network saw what it answers."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def explain(
    source: str,
    *images: str,
    method: str = "gradcam",
    target: str | None = None,
    layer: str | None = None,
    patch: int | None = None,
    weights: str | None = None,
    classes: Path | None = None,
    out: Path = Path("explained"),
    sheet: Annotated[bool, Parameter(negative="")] = False,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Show where on images a network saw what it answers: heat maps, as pictures and as arrays.

    Example: convlens explain runs/train/photos cat.jpg dog.jpg --sheet

    A file that cannot be read gives an error row, and the exit code is 1; the other files are explained.

    Args:
        source: A run folder, the name of a network with installed weights, my_net.py:Net, or an artifact, of which only
            occlusion can tell unless it is a safetensors file.
        images: Image files, folders of them, or patterns.
        method: gradcam, gradcam++, eigencam, occlusion or integrated-gradients.
        target: Name of the class to explain; the likeliest unless given.
        layer: Path of the module to read; the last with a height and a width unless given.
        patch: Side in pixels of the square that occlusion covers, and moves by a third of; a quarter of the image
            unless given. Half of it takes up to four times as long.
        weights: For the name of a network or code: published weights, such as imagenet1k_v1, or a file of weights.
        classes: For a file of weights: a file of class names, one a line, in the order of the outputs.
        out: Folder for NAME-METHOD.png, the heat over the image, and NAME-METHOD.npy, the map (H, W) from 0 to 1.
        sheet: Also put all images, each beside its heat, on one sheet.png.
        json_: Print JSON.
    """
    from convlens.classifiers import read_class_names, resolve
    from convlens.errors import legible
    from convlens.explaining import Explainer, explain_files
    from convlens.predicting import find_files

    found = resolve(source, weights=weights, classes=read_class_names(classes) if classes else None, trained=True)
    predictor = found.predictor()
    explainer = Explainer(predictor, found.network if found.load else None)
    explainer.check(method, target)
    one = partial(explainer, method=method, target=target, layer=layer, patch=patch)
    explained = explain_files(predictor, one, find_files(images), out, on_sheet=sheet)
    if json_:
        print(json.dumps({"explanations": [entry.to_dict() for entry in explained]}, ensure_ascii=False, indent=2))
    for entry in explained:
        if entry.error is not None:
            print(f"convlens: {entry.error}", file=sys.stderr)
        elif not json_:
            where = f" at {entry.layer}" if entry.layer else ""
            answer = f"{entry.label} {entry.probability:.1%}, {entry.method}{where}"
            print(f"{legible(entry.file)}: {answer}: {legible(entry.picture)}")
    return 1 if any(entry.error is not None for entry in explained) else 0
