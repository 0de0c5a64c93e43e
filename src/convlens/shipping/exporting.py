"""From a run or a network to an artifact that has proved itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convlens.artifacts.artifact_formats import FORMATS, Format, find_format
from convlens.artifacts.writing import Artifact, Note, write_proved
from convlens.classifiers.classifier import Classifier
from convlens.classifiers.own_images import own_data, proof_images
from convlens.classifiers.resolve import nameless, resolve
from convlens.errors import ConvlensError
from convlens.processors import default_threads
from convlens.shipping.precision_gate import check_max_drop
from convlens.shipping.selecting import select

if TYPE_CHECKING:
    from torch import nn


def export(
    source: "str | Path | nn.Module | Classifier",
    to: str,
    *,
    out: str | Path | None = None,
    precision: str = "float32",
    data: str | Path | None = None,
    weights: str | Path | None = None,
    classes: Sequence[str] | None = None,
    size: tuple[int, int] | None = None,
    max_drop: float = 0.5,
    batch: int = 1,
    on_note: Note | None = None,
) -> Artifact:
    """Ship a network: translate it, prove that the result answers as the network does, and only then write it.

    Args:
        source: what `resolve` takes, but for an artifact: it is a network that is shipped.
        to: the format: `"onnx"`, `"openvino"`, `"torch"`, `"safetensors"` or `"plan"`.
        out: the file to write; None takes `artifacts/` in the run, or the working folder for a network.
        precision: of the arithmetic: `"float32"`, `"bfloat16"`, `"int8"`, or `"auto"` for the fastest here whose
            accuracy holds.
        data: images to prove it on and, for int8 and auto, to calibrate on and to measure accuracy with, as
            `open_dataset` takes them; None takes the run's own.
        weights: for the name of a network: published weights or a file.
        classes: for the name of a network, code or a module: its class names, in the order of the outputs.
        size: for these: (H, W) of its input.
        max_drop: accuracy that int8 and auto may lose, in points.
        batch: images at a time when auto compares speeds.
        on_note: called with what the user should know on the way.

    Raises:
        ProofError: it answers differently; the message names the first operation that does, and nothing was written.
        ConvlensError: an unknown format, a precision that the format cannot hold, a package that is missing.
    """
    note = on_note or _silent
    row = find_format(to)
    if precision != "auto":
        row.check_precision(precision)
    check_max_drop(max_drop)
    module = row.open(writing=True)
    subject = resolve(source, weights=weights, classes=classes, size=size)
    if subject.names is None and subject.kind == "network":
        raise nameless(weights)
    if subject.kind in ("code", "module") and row.weights_only:
        able = ", ".join(other.name for other in FORMATS.values() if not other.weights_only)
        raise ConvlensError(
            f"{row.name} holds weights without their network, and {subject.source} is none of the catalogue, "
            f"from which it could be built again; use {able}"
        )
    path = artifact_path(subject, row, precision, out)
    dataset = own_data(subject, data, note)
    if precision in ("float32", "bfloat16"):
        chosen, choice = row.check_precision(precision), None
        model = module.translate(subject.network, subject.preprocessing, chosen)
    else:
        choice, model = select(
            subject, row, precision, dataset, max_drop=max_drop, batch=batch, threads=default_threads(), note=note
        )
        chosen = choice.precision
    images, origin = proof_images(subject.preprocessing, dataset)
    manifest = subject.manifest(chosen, inside=module.can_attach(subject.preprocessing))
    described = choice.to_dict() if choice else None
    return write_proved(subject.network, row, model, manifest, path, images, origin, note, described)


def artifact_path(subject: Classifier, row: Format, precision: str, out: str | Path | None) -> Path:
    """Where the artifact goes.

    Raises:
        ConvlensError: `out` has another suffix than the format.
    """
    suffix = row.suffixes[0]
    if out is not None:
        if Path(out).suffix != suffix:
            raise ConvlensError(f"--out {out}: a file of the format {row.name!r} ends in {suffix}; name it so")
        return Path(out)
    name = subject.network_name.rpartition("/")[2]  # code is named by its path
    name = name if precision == "float32" else f"{name}-{precision}"
    folder = subject.provenance.folder / "artifacts" if subject.provenance.folder else Path()
    return folder / f"{name}{suffix}"


def _silent(_: str) -> None:
    return None
