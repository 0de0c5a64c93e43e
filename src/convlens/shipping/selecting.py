"""A network in every precision that a format holds, and the one that passes the gate."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlens.artifacts.artifact_formats import Format
from convlens.classifiers.classifier import Classifier
from convlens.errors import ConvlensError
from convlens.predicting.apart import Subject
from convlens.predicting.engines import Engine, Precision
from convlens.predicting.fastest import measure_apart
from convlens.predicting.measuring import Timing
from convlens.shipping.labelled import Labelled, read_labelled
from convlens.shipping.precision_gate import Choice, choose
from convlens.shipping.quantising import CALIBRATION_IMAGES, VALIDATION_IMAGES, quantise

if TYPE_CHECKING:
    from convlens.data import Dataset

Note = Callable[[str], None]
_SECONDS = 2.0  # of timing for each precision


def select(
    subject: Classifier,
    row: Format,
    wanted: str,
    dataset: "Dataset | None",
    *,
    max_drop: float,
    batch: int,
    threads: int,
    note: Note,
) -> tuple[Choice, Any]:
    """Make the network in the wanted precision, or in all of them for auto, and measure it against float32.

    Args:
        subject: the network.
        row: the format.
        wanted: `"int8"` or `"auto"`.
        dataset: the user's images; int8 is calibrated on nothing else.
        max_drop: accuracy that may be lost, in points.
        batch: images in a timed call.
        threads: used by it.
        note: told what was measured, chosen and rejected.

    Returns:
        The choice, and the format's model in the chosen precision.

    Raises:
        ConvlensError: there are no images, or int8 was asked for and loses too much.
    """
    if dataset is None:
        raise ConvlensError(
            f"precision {wanted!r} is calibrated and measured on your own images, never on others; "
            "give them with --data"
        )
    validation = read_labelled(dataset, ("val", "test", "train"), subject.preprocessing, VALIDATION_IMAGES)
    models, refused = _models(subject, row, wanted, dataset, validation, max_drop, threads, note)
    timings, untimed = _timings(subject, row, models, batch, threads)
    engines: dict[Precision, Engine] = {
        precision: row.open().engine(models[precision], subject.manifest(precision), row.runtimes[0], threads)
        for precision in timings
    }
    if wanted in untimed:
        raise ConvlensError(f"{wanted} cannot run here: {untimed[wanted]}")
    refused |= untimed
    choice = choose(engines, timings, validation, max_drop=max_drop, batch=batch, threads=threads, refused=refused)
    if wanted == "int8":
        choice = _insist_on_int8(choice, max_drop)
    note(f"accuracy on {choice.images}; speed at batch {batch} with {threads} thread(s) on {row.runtimes[0]}:")
    for line in choice.lines():
        note(f"  {line}")
    return choice, models[choice.precision]


def _models(
    subject: Classifier,
    row: Format,
    wanted: str,
    dataset: "Dataset",
    validation: Labelled,
    max_drop: float,
    threads: int,
    note: Note,
) -> tuple[dict[Precision, Any], dict[str, str]]:
    module = row.open()
    models: dict[Precision, Any] = {}
    refused: dict[str, str] = {}
    for precision in row.precisions if wanted == "auto" else ("float32", "int8"):
        try:
            if precision == "int8":
                calibration = _calibration(dataset, subject, note)
                models["int8"] = (
                    module.translate(subject.network, subject.preprocessing, "int8", calibration.x)
                    if row.calibrates
                    else quantise(models["float32"], calibration, validation, max_drop / 100, threads)
                )
            else:
                models[precision] = module.translate(subject.network, subject.preprocessing, precision)
        except ConvlensError as error:
            if precision in ("float32", wanted):
                raise
            refused[precision] = str(error)
    return models, refused


def _timings(
    subject: Classifier, row: Format, models: Mapping[Precision, Any], batch: int, threads: int
) -> tuple[dict[Precision, Timing], dict[str, str]]:
    """Time each precision in a process of its own, in turns; give the timings, and why others cannot be timed."""
    with tempfile.TemporaryDirectory(prefix="convlens-precisions-") as folder:
        subjects: dict[str, Subject] = {}
        for precision, model in models.items():
            path = Path(folder) / f"{precision}{row.suffixes[0]}"
            row.open().save(model, path, subject.manifest(precision))
            subjects[precision] = Subject(source=str(path), runtime=row.runtimes[0], threads=threads)
        found, refused = measure_apart(subjects, batch, _SECONDS)
    if "float32" not in found:
        raise ConvlensError(f"float32, which the others are held against, cannot run here: {refused['float32']}")
    return {precision: found[precision] for precision in models if precision in found}, dict(refused)


def _calibration(dataset: "Dataset", subject: Classifier, note: Note) -> Labelled:
    images = read_labelled(dataset, ("train", "val", "test"), subject.preprocessing, CALIBRATION_IMAGES)
    seen = {subject.classes[i] for i in images.y}
    missing = [name for name in subject.classes if name not in seen]
    if missing:
        shown = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        note(f"int8 is calibrated without {len(missing)} of {len(subject.classes)} classes ({shown}); --data has none")
    return images


def _insist_on_int8(choice: Choice, max_drop: float) -> Choice:
    """int8 was asked for: that it is slower here is said, that it loses too much is an error."""
    int8 = next(c for c in choice.candidates if c.precision == "int8")
    if int8.drop > max_drop:
        raise ConvlensError(
            f"int8 loses {int8.drop:.2f} points (95 % interval {int8.drop_low:+.2f} to {int8.drop_high:+.2f}) on "
            f"{choice.images}, more than --max-drop {max_drop:g}; nothing was written; use --precision auto"
        )
    float32 = next(c for c in choice.candidates if c.precision == "float32")
    speed = f"{float32.milliseconds / int8.milliseconds:.2f} times as fast here as float32"
    asked = (replace(float32, verdict="measured against"), replace(int8, verdict=f"as asked, {speed}"))
    return replace(choice, precision="int8", candidates=asked)
