"""A page that works offline: figures, tables and thumbnails in one HTML file."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as resources
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
from jinja2 import Environment
from numpy.typing import NDArray
from PIL import Image

from convlens import files
from convlens.data import Dataset
from convlens.evaluation.evaluation import Evaluation
from convlens.evaluation.figures import Bars, Drawing, Matrix, save_png
from convlens.evaluation.verdict import guessing
from convlens.images import to_pillow

_THUMBNAIL = 96  # pixels of the longer side
_MOST_THUMBNAILS = 24
_MOST_IN_MATRIX = 40  # classes
_MOST_ROWS = 100  # of a table with many classes


@dataclass(frozen=True)
class Thumbnail:
    """A small picture inside the page, with what to say below it."""

    source: str
    caption: str
    hover: str = ""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page: a heading and, below it, whatever of the rest is there.

    `links` has an address for the first cell of each row, None for none.
    """

    title: str
    text: str = ""
    facts: Sequence[tuple[str, str]] = ()
    drawings: Sequence[Drawing] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    links: Sequence[str | None] = ()
    thumbnails: Sequence[Thumbnail] = ()
    notes: Sequence[str] = ()


def write_report(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Write the page, and the figures as PNG files into `figures/` beside it."""
    template = resources("convlens.evaluation").joinpath("report.html.jinja").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["figure"] = _figure_json
    content = environment.from_string(template).render(title=title, sections=sections, plotly=_plotly_script())
    for section in sections:
        for drawing in section.drawings:
            save_png(drawing, path.parent / "figures" / f"{drawing.name}.png")
    files.write_text(path, content)


def evaluation_sections(done: Evaluation, dataset: Dataset) -> list[Section]:
    """The parts of a report that say how good a network is on a split."""
    facts = [
        ("accuracy", f"{done.top1:.2%}"),
        ("95 % interval", f"{done.top1_low:.2%} to {done.top1_high:.2%}"),
        ("commonest class alone", f"{done.guessing:.2%}"),
        *([("top 5", f"{done.top5:.2%}")] if done.top5 is not None else []),
        ("macro F1", f"{done.macro_f1:.4f}"),
        ("log loss", f"{done.log_loss:.4f}"),
        ("calibration error", f"{done.calibration_error:.4f}"),
        ("images", f"{done.images:,}"),
    ]
    where = f"{done.data}, split {done.split}"
    beware = [f"This is no better than guessing: {guessing(done)}."] if done.is_guessing else []
    return [
        Section(title=f"How good: {where}", facts=facts, notes=[*beware, *done.notes]),
        _confusion_section(done),
        _class_section(done),
        Section(
            title="How sure, and how right",
            text="Where the bars reach the line, the network is right as often as it says.",
            drawings=[reliability_figure(done)],
        ),
        Section(
            title="The mistakes it is surest of",
            text="" if done.mistakes else "There are none.",
            thumbnails=mistake_thumbnails(done, dataset),
        ),
    ]


def _confusion_section(done: Evaluation) -> Section:
    """The matrix of all classes or, of many, of those most often mixed up; and the pairs."""
    pairs = done.confused()
    rows = [(pair.label, pair.predicted, f"{pair.images:,}") for pair in pairs[:_MOST_ROWS]]
    all_classes = len(done.classes) <= _MOST_IN_MATRIX
    text = "" if all_classes else f"The matrix has the {_MOST_IN_MATRIX} classes that are mixed up most often."
    return Section(
        title="Which classes are mixed up",
        text=text,
        drawings=[confusion_figure(done)],
        columns=("class", "taken for", "images"),
        rows=() if all_classes else rows,
        notes=[] if all_classes else _more(len(pairs), "pairs"),
    )


def _class_section(done: Evaluation) -> Section:
    few = len(done.classes) <= _MOST_IN_MATRIX
    shown = done.per_class if few else done.worst_classes()[:_MOST_ROWS]
    return Section(
        title="Class by class" if few else "Class by class, the worst first",
        columns=("class", "precision", "recall", "F1", "images"),
        rows=[
            (row.label, _percent(row.precision), _percent(row.recall), _percent(row.f1), f"{row.images:,}")
            for row in shown
        ],
        notes=[] if few else _more(len(done.worst_classes()), "classes"),
    )


def _more(count: int, what: str) -> list[str]:
    return [f"{count - _MOST_ROWS:,} more {what}; convlens evaluate --json"] if count > _MOST_ROWS else []


def confusion_figure(done: Evaluation) -> Matrix:
    """The confusion matrix as a figure; of more than 40 classes, of those that are mixed up most often."""
    chosen = list(range(len(done.classes)))
    if len(done.classes) > _MOST_IN_MATRIX:
        place = {label: i for i, label in enumerate(done.classes)}
        often = [place[label] for pair in done.confused() for label in (pair.label, pair.predicted)]
        chosen = sorted(list(dict.fromkeys([*often, *chosen]))[:_MOST_IN_MATRIX])
    counts = np.asarray(done.confusion)[np.ix_(chosen, chosen)]
    labels = [done.classes[i] for i in chosen]
    return Matrix(name="confusion", title="Confusion matrix", labels=labels, counts=counts.tolist())


def reliability_figure(done: Evaluation) -> Bars:
    """Accuracy over confidence as a figure."""
    edges = done.reliability.edges
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    return Bars(
        name="reliability",
        title=f"Reliability (calibration error {done.calibration_error:.3f})",
        x_label="confidence",
        y_label="accuracy",
        labels=[f"{middle:.2f}" for middle in middles],
        values=done.reliability.accuracy,
        counts=done.reliability.images,
        line=middles,
    )


def mistake_thumbnails(done: Evaluation, dataset: Dataset, most: int = _MOST_THUMBNAILS) -> list[Thumbnail]:
    """The most confident mistakes as small pictures."""
    records = {record.key: record for record in dataset.records("all")}
    return [
        Thumbnail(
            source=thumbnail(dataset.read(records[mistake.file], at_least=(_THUMBNAIL, _THUMBNAIL))),
            caption=f"{mistake.label}, taken for {mistake.predicted} ({mistake.probability:.0%})",
            hover=mistake.file,
        )
        for mistake in done.mistakes[:most]
    ]


def thumbnail(image_HWC: NDArray[np.uint8]) -> str:
    """An image as a data URI, at most 96 pixels wide and high; smaller images keep their pixels visible."""
    picture = to_pillow(image_HWC)
    scale = _THUMBNAIL / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    picture = picture.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR)
    buffer = BytesIO()
    photograph = scale <= 1
    picture.save(buffer, "JPEG" if photograph else "PNG")
    kind = "jpeg" if photograph else "png"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _figure_json(drawing: Drawing) -> str:
    """JSON that cannot end the script element that it stands in."""
    return json.dumps(drawing.plotly(), allow_nan=False).replace("<", "\\u003c")


@cache
def _plotly_script() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1%}"
