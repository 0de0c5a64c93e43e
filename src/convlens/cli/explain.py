"""`convlens explain`: where on an image a network saw what it answers."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from convlens.evaluation import Predictor
    from convlens.explaining import Explanation


def explain(
    run: Path,
    *images: str,
    method: str = "gradcam",
    target: str | None = None,
    layer: str | None = None,
    patch: int | None = None,
    out: Path = Path("explained"),
    sheet: Annotated[bool, Parameter(negative="")] = False,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Show where on images a network saw what it answers: heat maps, as pictures and as arrays.

    Example: convlens explain runs/train/photos cat.jpg dog.jpg --sheet

    A file that cannot be read gives an error row, and the exit code is 1; the other files are explained.

    Args:
        run: The run folder; of a shipped artifact only occlusion can tell.
        images: Image files, folders of them, or patterns.
        method: gradcam, gradcam++, eigencam, occlusion or integrated-gradients.
        target: Name of the class to explain; the likeliest unless given.
        layer: Path of the module to read; the last with a height and a width unless given.
        patch: Side in pixels of the square that occlusion covers; a quarter of the image unless given.
        out: Folder for NAME-METHOD.png, the heat over the image, and NAME-METHOD.npy, the map (H, W) from 0 to 1.
        sheet: Also put all images, each beside its heat, on one sheet.png.
        json_: Print JSON.
    """
    from convlens.evaluation import find_files
    from convlens.explaining import explain_files
    from convlens.surface import load

    predictor = load(run)
    explainer = _explainer(run, predictor, method, _index(predictor, target), layer, patch)
    explained = explain_files(predictor, explainer, find_files(images), out, on_sheet=sheet)
    if json_:
        print(json.dumps({"explanations": [entry.to_dict() for entry in explained]}, ensure_ascii=False, indent=2))
    for entry in explained:
        if entry.error is not None:
            print(f"convlens: {entry.error}", file=sys.stderr)
        elif not json_:
            where = f" at {entry.layer}" if entry.layer else ""
            print(f"{entry.file}: {entry.label} {entry.probability:.1%}, {entry.method}{where}: {entry.picture}")
    return 1 if any(entry.error is not None for entry in explained) else 0


def _explainer(
    run: Path, predictor: "Predictor", method: str, target: int | None, layer: str | None, patch: int | None
) -> "Callable[[NDArray[np.float32]], Explanation]":
    from convlens import explaining, runs
    from convlens.errors import ConvlensError, unknown_name

    if method not in explaining.METHODS:
        raise unknown_name("method", method, explaining.METHODS)
    if runs.is_run(run):
        network = runs.open_folder(run).load_network()
        return lambda x: explaining.explain(network, x, method=method, target=target, layer=layer, patch=patch)
    if method != "occlusion":
        raise ConvlensError(f"{run} is an artifact, which has no gradients; use --method occlusion, or the run itself")
    return lambda x: explaining.explain_by_occlusion(predictor, x, target, patch)


def _index(predictor: "Predictor", target: str | None) -> int | None:
    from convlens.errors import unknown_name

    if target is None:
        return None
    if target not in predictor.classes:
        raise unknown_name("class", target, predictor.classes)
    return predictor.classes.index(target)
