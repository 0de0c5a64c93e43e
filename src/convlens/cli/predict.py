"""`convlens predict`: the classes of image files."""

import csv
import io
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from convlens.cli.asked_images import STANDARD_INPUT, asked_about

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convlens.classifiers import Classifier
    from convlens.predicting import FilePrediction
    from convlens.predicting.bulk import Summary


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
    out: str | None = None,
    ray: str | None = None,
    map_: Annotated[Path | None, Parameter(name="--map")] = None,
    quiet: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Predict the classes of images, by name.

    Example: convlens predict runs/train/photos holiday/ --top 3 --json, or, without a training of your own:
    convlens predict resnet50 holiday/ --weights imagenet1k_v2

    A file that cannot be read gives a row with the error, and exit code 1; the other files are predicted.

    For a million images: convlens predict runs/train/photos s3://archive/2026/ --out answers.parquet. They are read,
    predicted and written in parts; after an interruption, the same command continues.

    Args:
        source: What answers: a run folder, an artifact, a network's name (its weights must be installed), or
            my_net.py:Net.
        paths: Image files, folders, patterns, http://, https:// and s3:// addresses, or - for standard input: an image,
            or names of images, one per line. With --out also .tar and .parquet files of images, packed shards, tables
            of paths, and folders of these.
        top: Number of classes to print per file.
        batch: Number of images in one pass through the network.
        device: Device to compute on: auto, cpu, cuda or cuda:1.
        runtime: Runtime that computes: torch, onnxruntime, openvino, engine, or auto for the fastest on this machine.
            Default: torch for a run, its own for an artifact.
        threads: Number of processor threads. Default: as many as the container has processors.
        weights: Weights for a network's name or code: a published name, such as imagenet1k_v1, or a file.
        classes: Text file of class names for a file of weights: one name per line, in the order of the outputs.
        csv_: Print CSV with the columns file, rank, label, probability, error; --csv answers.csv writes it to that
            file.
        json_: Print the result as JSON and nothing else; --json answers.json writes it to that file.
        out: File to write the answers to: .parquet, .csv or .jsonl. Memory stays bounded for any number of images.
        ray: Predict on a Ray cluster, with --out: host:port of its head node. Without a value: the cluster of this
            machine, or a new one on this machine.
        map_: Folder for heat maps of each image's classes; not available for artifacts.
        quiet: Show no progress.
    """
    from convlens.classifiers import read_class_names, resolve
    from convlens.cli.bar import bar
    from convlens.errors import ConvlensError
    from convlens.predicting import predict_inputs
    from convlens.predicting.bulk import predict_to_file

    if csv_ and json_:
        raise ConvlensError("--csv and --json exclude each other; leave one out")
    paths, target = _without_target(paths, ".csv" if csv_ else ".json" if json_ else None)
    if out is not None and (csv_ or json_ or map_ is not None):
        raise ConvlensError("--out goes without --csv, --json and --map; its suffix says how answers are written")
    if ray is not None and out is None:
        raise ConvlensError("--ray writes its answers to a file; add --out answers.parquet")
    inputs = asked_about(paths) if out is None else []
    named = read_class_names(classes) if classes else None
    found = resolve(source, weights=weights, classes=named, trained=True)
    if map_ is not None:
        if STANDARD_INPUT in paths:
            raise ConvlensError("--map draws files, and - is what is piped in; name the files")
        found.network  # noqa: B018 - without one there is nothing to slide, which is said before anything is answered
    if ray is not None:
        from convlens.cluster.bulk_predictions import predict_on_ray
        from convlens.cluster.shipment import ship

        job = partial(predict_on_ray, ship(found, runtime=runtime, device=device, weights=weights), address=ray)
    else:
        predictor = found.predictor(runtime=runtime, threads=threads, device=device, batch=batch)
        job = partial(predict_to_file, predictor)
    if out is not None:
        asked = {"network": found.fingerprint, "runtime": runtime or "its own"}
        return _predict_to_file(partial(job, paths, out, asked=asked, top=top, batch=batch), out, quiet)
    with bar("predicting", quiet) as on_progress:
        answers = predict_inputs(predictor, inputs, top=top, batch=batch, on_progress=on_progress)
    if map_ is not None:
        _draw_maps(found, answers, map_)
    if json_:
        _give(json.dumps({"predictions": [a.to_dict() for a in answers]}, ensure_ascii=False, indent=2) + "\n", target)
    elif csv_:
        _give(_as_csv(answers), target)
    else:
        _write_lines(answers)
    return 1 if any(answer.error for answer in answers) else 0


def _predict_to_file(job: "Callable[..., Summary]", out: str, quiet: bool) -> int:
    from convlens.cli.bar import bar

    try:
        with bar("predicting", quiet) as on_progress:
            done = job(on_progress=on_progress)
    except KeyboardInterrupt:
        print(f"convlens: interrupted; the same command goes on from what {out}.parts holds", file=sys.stderr)
        raise
    errors = f", {done.errors:,} of them with an error" if done.errors else ""
    print(f"answers   {done.path}: {done.images:,} images{errors}", file=sys.stderr)
    return 1 if done.errors else 0


def _draw_maps(found: "Classifier", answers: "Sequence[FilePrediction]", folder: Path) -> None:
    """One picture an answered file; files of the same name get a number."""
    from convlens.data.reaching import contents, is_address
    from convlens.explaining.class_map import class_map, draw_class_map
    from convlens.files import short_stem
    from convlens.images import read

    taken: set[Path] = set()
    for answer in answers:
        if answer.error is None:
            stem, number = short_stem(answer.file), 2
            target = folder / f"{stem}-map.png"
            while target in taken:
                target, number = folder / f"{stem}-{number}-map.png", number + 1
            taken.add(target)
            content = contents(answer.file) if is_address(answer.file) else answer.file
            image = read(content, channels=found.preprocessing.channels)
            draw_class_map(class_map(found.network, found.preprocessing, image), found.classes, target)
            print(f"map       {target}", file=sys.stderr)


def _without_target(paths: "tuple[str, ...]", suffix: str | None) -> "tuple[tuple[str, ...], Path | None]":
    """Take the file that `--csv answers.csv` names out of the images."""
    named = [path for path in paths if suffix and path.lower().endswith(suffix)]
    if not named:
        return paths, None
    return tuple(path for path in paths if path != named[-1]), Path(named[-1])


def _as_csv(answers: "Sequence[FilePrediction]") -> str:
    from convlens.predicting.bulk.answer_files import CSV_HEAD, csv_rows

    rows = io.StringIO(newline="")
    writer = csv.writer(rows)
    writer.writerow(CSV_HEAD)
    for answer in answers:
        writer.writerows(csv_rows(answer.to_dict()))
    return rows.getvalue()


def _give(text: str, target: Path | None) -> None:
    """Write to the file that was named, or print."""
    if target is None:
        sys.stdout.write(text)
        return
    from convlens.files import write_text

    write_text(target, text)
    print(f"answers   {target}", file=sys.stderr)


def _write_lines(answers: "Sequence[FilePrediction]") -> None:
    from convlens.errors import legible

    for answer in answers:
        guesses = ", ".join(f"{guess.label} {guess.probability:.1%}" for guess in answer.classes)
        print(f"{legible(answer.file)}: {guesses or 'error: ' + str(answer.error)}")
