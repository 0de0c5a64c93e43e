"""`convlens predict`: the classes of image files."""

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convlens.classifiers import Classifier
    from convlens.predicting import FilePrediction


def predict(
    source: str,
    *paths: str,
    top: int = 5,
    batch: int = 32,
    device: str = "auto",
    runtime: str | None = None,
    threads: int | None = None,
    weights: str | None = None,
    classes: Path | None = None,
    csv_: Annotated[bool, Parameter(name="--csv", negative="")] = False,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    map_: Annotated[Path | None, Parameter(name="--map")] = None,
    quiet: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Say what is on images: their likeliest classes, by name.

    Example: convlens predict runs/train/photos holiday/ --top 3 --json, or, without a training of your own:
    convlens predict resnet50 holiday/ --weights imagenet1k_v2

    A file that cannot be read gives an error row, and the exit code is 1; the other files are answered.

    Args:
        source: A run folder, an artifact, the name of a network with installed weights, or my_net.py:Net.
        paths: Image files, folders of them, or patterns.
        top: How many classes to print for each file.
        batch: Images that go through the network at a time.
        device: auto, cpu, cuda or cuda:1.
        runtime: torch, onnxruntime, openvino, or auto for the fastest here; if not given, PyTorch for a run and the
            artifact's own for an artifact.
        threads: That the network may use; the processors that the container has if not given.
        weights: For the name of a network or code: published weights, such as imagenet1k_v1, or a file of weights.
        classes: For a file of weights: a file of class names, one a line, in the order of the outputs.
        csv_: Print rows of file, rank, label, probability, error.
        json_: Print JSON.
        map_: Folder for pictures of where on each image the network sees its classes; not of a shipped artifact.
        quiet: Show no progress bar.
    """
    from convlens.classifiers import read_class_names, resolve
    from convlens.cli.bar import bar
    from convlens.errors import ConvlensError
    from convlens.predicting import predict_files

    if csv_ and json_:
        raise ConvlensError("--csv and --json exclude each other; leave one out")
    named = read_class_names(classes) if classes else None
    found = resolve(source, weights=weights, classes=named, trained=True)
    if map_ is not None:
        found.network  # noqa: B018 - without one there is nothing to slide, which is said before anything is answered
    predictor = found.predictor(runtime=runtime, threads=threads, device=device, batch=batch)
    with bar("predicting", quiet) as on_progress:
        answers = predict_files(predictor, paths, top=top, batch=batch, on_progress=on_progress)
    if map_ is not None:
        _draw_maps(found, answers, map_)
    if json_:
        print(json.dumps({"predictions": [a.to_dict() for a in answers]}, ensure_ascii=False, indent=2))
    elif csv_:
        _write_csv(answers)
    else:
        _write_lines(answers)
    return 1 if any(answer.error for answer in answers) else 0


def _draw_maps(found: "Classifier", answers: "Sequence[FilePrediction]", folder: Path) -> None:
    """One picture an answered file; files of the same name get a number."""
    from convlens.explaining.class_map import class_map, draw_class_map
    from convlens.images import read

    taken: set[Path] = set()
    for answer in answers:
        if answer.error is None:
            target, number = folder / f"{Path(answer.file).stem}-map.png", 2
            while target in taken:
                target, number = folder / f"{Path(answer.file).stem}-{number}-map.png", number + 1
            taken.add(target)
            image = read(answer.file, channels=found.preprocessing.channels)
            draw_class_map(class_map(found.network, found.preprocessing, image), found.classes, target)
            print(f"map       {target}", file=sys.stderr)


def _write_csv(answers: "Sequence[FilePrediction]") -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow(["file", "rank", "label", "probability", "error"])
    for answer in answers:
        if answer.error:
            writer.writerow([answer.file, "", "", "", answer.error])
        for rank, guess in enumerate(answer.classes, start=1):
            writer.writerow([answer.file, rank, guess.label, f"{guess.probability:.4f}", ""])


def _write_lines(answers: "Sequence[FilePrediction]") -> None:
    for answer in answers:
        guesses = ", ".join(f"{guess.label} {guess.probability:.1%}" for guess in answer.classes)
        print(f"{answer.file}: {guesses or 'error: ' + str(answer.error)}")
