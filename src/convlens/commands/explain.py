"""`convlens explain`: where on an image a network saw what it answers."""

import json
import sys
from functools import partial
from pathlib import Path

from convlens.classifiers import read_class_names, resolve
from convlens.commands.asked_images import asked_about
from convlens.errors import legible
from convlens.explaining import Explainer, explain_files


def explain(
    source: str, *images: str, method: str, target: str | None, layer: str | None, patch: int | None,
    weights: str | None, classes: Path | None, out: Path, sheet: bool, json_: bool
) -> int:  # fmt: skip
    """Show which parts of an image a network's answer rests on: heat maps, as pictures and as arrays."""
    found = resolve(source, weights=weights, classes=read_class_names(classes) if classes else None, trained=True)
    predictor = found.predictor()
    explainer = Explainer(predictor, found.network if found.load else None)
    explainer.check(method, target)
    one = partial(explainer, method=method, target=target, layer=layer, patch=patch)
    explained = explain_files(predictor, one, asked_about(images), out, on_sheet=sheet)
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
