"""`report.html` of a run: how the training went, and how good its best weights are."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from convlens import runs
from convlens.data import Loader
from convlens.evaluation import Evaluation, evaluate
from convlens.evaluation.figures import Curves
from convlens.evaluation.report_page import Section, Thumbnail, evaluation_sections, thumbnail, write_report
from convlens.predicting import torch_predictor
from convlens.training.speed.numerics import Numerics
from convlens.training.speed.speed_search import opening

_SHOWN = 16  # augmented images


def report_run(folder: runs.RunFolder, loader: Loader, device: str) -> Evaluation | None:
    """Evaluate the best weights on the held-out images, write `report.html` and its figures as PNG files.

    Args:
        folder: the run.
        loader: gave the training its images; some are shown as the network saw them.
        device: where to evaluate.

    Returns:
        The evaluation: on the test split or, where there is none, the validation split; None without either.
    """
    dataset = loader.dataset
    sections = [_what(folder), _curves(folder.metrics()), _seen(loader)]
    split = next((name for name in ("test", "val") if dataset.splits.get(name)), None)
    done = None
    if split is not None:
        predictor = torch_predictor(folder.load_network(), folder.classes, folder.preprocessing, device=device)
        done = evaluate(predictor, dataset, split)
        sections += evaluation_sections(done, dataset)
    write_report(folder.path / "report.html", f"{folder.network_name} on {dataset.name}", sections)
    return done


def _what(folder: runs.RunFolder) -> Section:
    description = folder.description
    height, width = folder.size
    result = description.result
    facts = [
        ("network", folder.network_name),
        ("classes", str(len(folder.classes))),
        ("input", f"{height}×{width}×{folder.channels}"),
        ("images", ", ".join(f"{count:,} {split}" for split, count in description.data.splits.items())),
        ("epochs", f"{result.get('epochs', 0)} of {description.config['epochs']}"),
        ("epoch kept", _epoch_kept(result)),
        ("optimiser", f"{description.config['optimizer']}, batch {description.config['batch']}"),
        ("computed on", f"{description.numerics['device']}, {description.numerics['precision']}"),
        ("begun", description.created.replace("T", " ").replace("+00:00", " UTC")),
    ]
    notes = list(description.data.notes)
    numerics = Numerics(**description.numerics)
    if numerics.milliseconds:
        notes.append(f"chosen by timing: {opening(numerics)}")
    notes += [f"not tried or not working: {title}: {reason}" for title, reason in numerics.skipped.items()]
    own = {"depthwise convolutions": numerics.depthwise, "averages over the map": numerics.average}
    notes += [f"gradients of {what} were computed by {by}" for what, by in own.items() if by != "torch"]
    if description.data.bad_files:
        notes.append(f"{description.data.bad_files} files cannot be read and were left out; see bad_files.csv")
    return Section(title="What was trained", facts=facts, notes=notes)


def _epoch_kept(result: Mapping[str, Any]) -> str:
    best = result.get("best_epoch")
    return "none yet" if best is None else str(best) if best else "none: the probe"


def _seen(loader: Loader) -> Section:
    pictures = loader.preview(min(_SHOWN, loader.batch_size))
    thumbnails = [Thumbnail(thumbnail(picture), "") for picture in pictures]
    return Section(title="What the network saw", text="Images of the first epoch, augmented.", thumbnails=thumbnails)


def _curves(history: list[dict[str, Any]]) -> Section:
    curves = partial(Curves, x_label="epoch", x=[row["epoch"] for row in history])

    def column(name: str) -> list[float | None]:
        return [row.get(name) for row in history]

    losses, accuracies = {"training": column("loss")}, column("val_top1")
    drawings = []
    if any(value is not None for value in accuracies):
        losses["validation"] = column("val_log_loss")
        title, shown = "Accuracy on the validation images", {"accuracy": accuracies}
        drawings.append(curves(name="accuracy", title=title, y_label="accuracy", series=shown, percent=True))
    drawings.append(curves(name="loss", title="Loss", y_label="loss", series=losses))
    for name, title, label, key in (
        ("learning_rate", "Learning rate at the end of each epoch", "learning rate", "lr"),
        ("speed", "Training speed", "images/s", "images_per_second"),
    ):
        drawings.append(curves(name=name, title=title, y_label=label, series={label: column(key)}))
    text = "The training loss is measured on augmented images with label smoothing, so it stays above the other."
    return Section(title="How it went", text=text, drawings=drawings)
