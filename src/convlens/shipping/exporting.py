"""From a run or a network to an artifact that has proved itself."""

import copy
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlens import files
from convlens.artifacts.formats import Format, find_format
from convlens.artifacts.manifest import Manifest
from convlens.artifacts.proof import LEAST_IMAGES, Images
from convlens.artifacts.proving import prove
from convlens.classifiers.subject import Subject, open_subject
from convlens.errors import ConvlensError
from convlens.predicting.engines import Precision
from convlens.predicting.predictor import torch_predictor
from convlens.processors import default_threads
from convlens.shipping.gate import Choice, check_max_drop
from convlens.shipping.selecting import select

if TYPE_CHECKING:
    from convlens.data import Dataset

Note = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """What was written.

    Args:
        path: the file to give to later commands.
        files: all that belongs to it.
        format: its name.
        manifest: what it says about itself, its proof included.
    """

    path: Path
    files: tuple[Path, ...]
    format: str
    manifest: Manifest

    def to_dict(self) -> dict[str, Any]:
        """Give it as `export --json` prints it."""
        return {
            "path": str(self.path),
            "files": [str(file) for file in self.files],
            "bytes": sum(file.stat().st_size for file in self.files),
            "format": self.format,
            "precision": self.manifest.precision,
            "preprocessing_inside": self.manifest.preprocessing_inside,
            "proof": dict(self.manifest.proof),
            "choice": dict(self.manifest.choice),
        }


def export(
    source: str | Path,
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
        source: a run folder or the name of a network.
        to: the format: `"onnx"`, `"openvino"`, `"torch"` or `"safetensors"`.
        out: the file to write; None takes `artifacts/` in the run, or the working folder for a network.
        precision: of the arithmetic: `"float32"`, `"bfloat16"`, `"int8"`, or `"auto"` for the fastest here whose
            accuracy holds.
        data: images to prove it on and, for int8 and auto, to calibrate on and to measure accuracy with, as
            `open_dataset` takes them; None takes the run's own.
        weights: for the name of a network: published weights or a file.
        classes: for the name of a network: its class names.
        size: for the name of a network: (H, W) of its input.
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
    subject = open_subject(source, weights=weights, classes=classes, size=size)
    path = artifact_path(subject, row, precision, out)
    dataset = open_data(subject, data, note)
    if precision in ("float32", "bfloat16"):
        chosen, choice = row.check_precision(precision), None
        model = module.translate(subject.network, subject.preprocessing, chosen)
    else:
        choice, model = select(
            subject, row, precision, dataset, max_drop=max_drop, batch=batch, threads=default_threads(), note=note
        )
        chosen = choice.precision
    images, origin = proof_images(subject, dataset)
    return write_proved(subject, row, model, chosen, path, images, origin, note, choice)


def write_proved(
    subject: Subject,
    row: Format,
    model: Any,
    precision: Precision,
    path: Path,
    images: Images,
    origin: str,
    note: Note,
    choice: Choice | None = None,
) -> Artifact:
    """Write `model` beside its destination, prove it from there, and move it to `path` if the proof holds."""
    module = row.open()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.stem}-", dir=path.parent) as staging:
        staged = Path(staging) / path.name
        manifest = subject.manifest(precision, inside=module.can_attach(subject.preprocessing))
        module.save(model, staged, manifest)
        # A copy, because the predictor changes the memory format of what it gets.
        reference = torch_predictor(
            copy.deepcopy(subject.network), subject.classes, subject.preprocessing, device="cpu"
        )
        proof = prove(subject.network, reference, row, staged, images, origin)
        if manifest.preprocessing_inside and not proof.holds_inside:
            note(
                f"the preprocessing stays outside: inside, pixels differ by up to {proof.pixel_levels} levels; "
                "a client must apply it, as convlens does"
            )
            manifest = replace(manifest, preprocessing_inside=False)
        elif not manifest.preprocessing_inside:
            note(
                f"the preprocessing stays outside: {row.name} cannot hold it; a client must apply it, as convlens does"
            )
        manifest = replace(manifest, proof=proof.to_dict(), choice=choice.to_dict() if choice else {})
        module.save(model, staged, manifest)
        return _move(row, staged, path, manifest)


def artifact_path(subject: Subject, row: Format, precision: str, out: str | Path | None) -> Path:
    """Where the artifact goes.

    Raises:
        ConvlensError: `out` has another suffix than the format.
    """
    suffix = row.suffixes[0]
    if out is not None:
        if Path(out).suffix != suffix:
            raise ConvlensError(f"--out {out}: a file of the format {row.name!r} ends in {suffix}; name it so")
        return Path(out)
    name = subject.name if precision == "float32" else f"{subject.name}-{precision}"
    folder = subject.folder / "artifacts" if subject.folder else Path()
    return folder / f"{name}{suffix}"


def proof_images(subject: Subject, dataset: "Dataset | None") -> tuple[Images, str]:
    """Find the images to prove the artifact on; photographs if there are no data or too few."""
    from convlens.artifacts.proof_images import from_dataset, from_photographs

    channels = subject.preprocessing.channels
    if dataset is None:
        chosen = from_photographs(channels, LEAST_IMAGES)
        return chosen.images, chosen.origin
    own = from_dataset(dataset, channels, LEAST_IMAGES)
    lacking = LEAST_IMAGES - len(own.images)
    if lacking <= 0:
        return own.images, own.origin
    more = from_photographs(channels, lacking)
    return (*own.images, *more.images), f"{own.origin} and {more.origin}"


def open_data(subject: Subject, data: str | Path | None, note: Note) -> "Dataset | None":
    """Open the data asked for, else the run's own; None if there are none here.

    Raises:
        ConvlensError: the data asked for cannot be opened, or has none of the network's classes.
    """
    from convlens.data import open_dataset

    if data is not None:
        dataset = open_dataset(data, classes=subject.classes)
        for sentence in dataset.notes:
            note(sentence)
        return dataset
    if subject.data is None:
        return None
    try:
        return open_dataset(subject.data, classes=subject.classes)
    except ConvlensError as error:
        note(f"the run's own data are not here: {error}")
        return None


def _move(row: Format, staged: Path, path: Path, manifest: Manifest) -> Artifact:
    """Put the files in place, the one that people name last, so that whoever finds it finds the others."""
    written = tuple(path.with_suffix(suffix) for suffix in row.suffixes)
    for target in reversed(written):
        with files.replacing(target) as temporary:
            staged.with_suffix(target.suffix).replace(temporary)
    return Artifact(path=path, files=written, format=row.name, manifest=manifest)


def _silent(_: str) -> None:
    return None
