"""`convlens predict`: the classes of image files."""

import csv
import io
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from convlens.classifiers import Classifier, read_class_names, resolve
from convlens.cluster.bulk_predictions import predict_on_ray
from convlens.cluster.shipment import ship
from convlens.commands.asked_images import STANDARD_INPUT, asked_about
from convlens.commands.bar import bar
from convlens.data.reaching import contents, is_address
from convlens.errors import ConvlensError, legible
from convlens.files import short_stem, write_text
from convlens.images import read
from convlens.predicting import FilePrediction, predict_inputs
from convlens.predicting.bulk import Summary, predict_to_file
from convlens.predicting.bulk.answer_files import CSV_HEAD, csv_rows


def predict(
    source: str, *paths: str, top: int, batch: int, device: str, runtime: str | None, threads: int | None,
    weights: str | None, classes: Path | None, csv_: bool, json_: bool, out: str | None, ray: str | None,
    map_: Path | None, quiet: bool
) -> int:  # fmt: skip
    """Predict the classes of images, by name."""
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


def _predict_to_file(job: Callable[..., Summary], out: str, quiet: bool) -> int:
    try:
        with bar("predicting", quiet) as on_progress:
            done = job(on_progress=on_progress)
    except KeyboardInterrupt:
        print(f"convlens: interrupted; the same command goes on from what {out}.parts holds", file=sys.stderr)
        raise
    errors = f", {done.errors:,} of them with an error" if done.errors else ""
    print(f"answers   {done.path}: {done.images:,} images{errors}", file=sys.stderr)
    return 1 if done.errors else 0


def _draw_maps(found: Classifier, answers: Sequence[FilePrediction], folder: Path) -> None:
    """One picture an answered file; files of the same name get a number."""
    from convlens.explaining.class_map import class_map, draw_class_map  # torch, which a plan does without

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
            print(f"map       {legible(str(target))}", file=sys.stderr)


def _without_target(paths: tuple[str, ...], suffix: str | None) -> tuple[tuple[str, ...], Path | None]:
    """Take the file that `--csv answers.csv` names out of the images."""
    named = [path for path in paths if suffix and path.lower().endswith(suffix)]
    if not named:
        return paths, None
    return tuple(path for path in paths if path != named[-1]), Path(named[-1])


def _as_csv(answers: Sequence[FilePrediction]) -> str:
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

    write_text(target, text)
    print(f"answers   {target}", file=sys.stderr)


def _write_lines(answers: Sequence[FilePrediction]) -> None:
    for answer in answers:
        guesses = ", ".join(f"{guess.label} {guess.probability:.1%}" for guess in answer.classes)
        print(f"{legible(answer.file)}: {guesses or 'error: ' + str(answer.error)}")
