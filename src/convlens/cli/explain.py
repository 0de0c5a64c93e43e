"""`convlens explain`: where on an image a network saw what it answers."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def explain(
    run: str,
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
        run: The run folder, or the name of a network, which then needs --weights; of a shipped artifact only
            occlusion can tell.
        images: Image files, folders of them, or patterns.
        method: gradcam, gradcam++, eigencam, occlusion or integrated-gradients.
        target: Name of the class to explain; the likeliest unless given.
        layer: Path of the module to read; the last with a height and a width unless given.
        patch: Side in pixels of the square that occlusion covers, and moves by a third of; a quarter of the image
            unless given. Half of it takes up to four times as long.
        weights: For the name of a network: published weights, such as imagenet1k_v1, or a file of weights.
        classes: For a file of weights: a file of class names, one a line, in the order of the outputs.
        out: Folder for NAME-METHOD.png, the heat over the image, and NAME-METHOD.npy, the map (H, W) from 0 to 1.
        sheet: Also put all images, each beside its heat, on one sheet.png.
        json_: Print JSON.
    """
    from convlens.classifiers.subject import open_subject, read_class_names
    from convlens.explaining import Explainer, explain_files
    from convlens.predicting import find_files
    from convlens.surface import load

    named = read_class_names(classes) if classes else None
    predictor = load(run, weights=weights, classes=named)
    shipped = Path(run).is_file()
    network = None if shipped else open_subject(run, weights=weights, classes=named).network
    explainer = Explainer(predictor, network)
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
            print(f"{entry.file}: {entry.label} {entry.probability:.1%}, {entry.method}{where}: {entry.picture}")
    return 1 if any(entry.error is not None for entry in explained) else 0
