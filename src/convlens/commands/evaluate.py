"""`convlens evaluate`: how good a run is on a data set."""

import json
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from convlens.classifiers import read_class_names, resolve
from convlens.commands.bar import bar
from convlens.data import open_dataset
from convlens.errors import ConvlensError
from convlens.evaluation import Evaluation
from convlens.evaluation import evaluate as evaluate_on
from convlens.evaluation.evaluation import usual_split
from convlens.evaluation.report_page import evaluation_sections, write_report
from convlens.evaluation.verdict import guessing
from convlens.evaluation.views import Averaged


def evaluate(
    source: str, data: str | None, *, split: str | None, columns: str | None, batch: int, device: str,
    runtime: str | None, threads: int | None, weights: str | None, classes: Path | None, tta: bool,
    report: Path | None, json_: bool, quiet: bool
) -> int:  # fmt: skip
    """Measure a trained network on labelled images: accuracy with its 95 % interval, and where it fails."""
    if batch < 1:
        raise ConvlensError(f"batch is {batch}; use at least 1")
    found = resolve(source, weights=weights, classes=read_class_names(classes) if classes else None, trained=True)
    predictor = found.predictor(runtime=runtime, threads=threads, device=device, batch=batch)
    own = found.provenance
    if data is None:
        data, columns = own.data, columns or own.columns
    if data is None:
        raise ConvlensError(f"{source} does not know where its data are; name them: convlens evaluate {source} photos/")
    dataset = open_dataset(data, classes=predictor.classes, columns=columns)
    split = split or usual_split(dataset, own.data or "", own.run.get("data_fingerprint", ""))
    with bar("evaluating", quiet or json_) as on_progress:
        asked = Averaged(predictor, mirrors=dataset.mirrors) if tta else predictor
        done = evaluate_on(asked, dataset, split, batch=batch, on_progress=on_progress)
    if report is None and not json_ and found.provenance.folder:
        report = found.provenance.folder / "evaluation" / f"{done.data}-{done.split}" / "report.html"
    if report:
        title = f"{found.name} on {done.data}, split {done.split}"
        write_report(report, title, evaluation_sections(done, dataset))
    if json_:
        print(json.dumps(done.to_dict(), ensure_ascii=False, indent=2))
    else:
        _show(done)
    if report and not json_:
        print(f"report    {report}")
    return 0


_MOST_CLASSES = 40  # in the terminal


def _show(done: Evaluation) -> None:
    console = Console()
    for note in done.notes:
        console.print(note, highlight=False, markup=False)
    interval = f"{done.top1_low:.2%} to {done.top1_high:.2%}"
    console.print(f"{done.data}, split {done.split}: {done.images:,} images", highlight=False, markup=False)
    console.print(f"accuracy {done.top1:.2%}  (95 % interval {interval})", highlight=False)
    if done.is_guessing:
        console.print(f"no better than guessing: {guessing(done)}", highlight=False, markup=False)
    top5 = "" if done.top5 is None else f"top 5 {done.top5:.2%}  "
    console.print(
        f"{top5}macro F1 {done.macro_f1:.4f}  log loss {done.log_loss:.4f}  "
        f"calibration error {done.calibration_error:.4f}",
        highlight=False,
    )
    few = len(done.classes) <= _MOST_CLASSES
    table = Table("class", *(("precision", "recall", "F1", "images")))
    table.columns[0].overflow = "fold"
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for row in done.per_class if few else done.worst_classes()[:_MOST_CLASSES]:
        table.add_row(escape(row.label), _share(row.precision), _share(row.recall), _share(row.f1), f"{row.images:,}")
    console.print(table)
    if not few:
        console.print(f"the {_MOST_CLASSES} worst of {len(done.classes):,} classes; --json gives all", highlight=False)
    for mistake in done.mistakes[:5]:
        text = f"{mistake.file}: {mistake.label} taken for {mistake.predicted} ({mistake.probability:.1%} sure)"
        console.print(text, highlight=False, markup=False)


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1%}"
