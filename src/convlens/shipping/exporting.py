"""From a run or a network to an artifact that has proved itself."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convlens import files
from convlens.errors import ConvlensError
from convlens.shipping.formats import Format, FormatModule, find_format
from convlens.shipping.manifest import Manifest, Precision
from convlens.shipping.proof import (
    BATCHES,
    LEAST_IMAGES,
    Images,
    Proof,
    ProofError,
    compare,
    compare_inside,
    in_batches,
)
from convlens.shipping.subject import Subject, open_subject

if TYPE_CHECKING:
    from convlens.data import Dataset
    from convlens.evaluation import Predictor
    from convlens.shipping import predictor as shipping

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
    on_note: Note | None = None,
) -> Artifact:
    """Ship a network: translate it, prove that the result answers as the network does, and only then write it.

    Args:
        source: a run folder or the name of a network.
        to: the format: `"onnx"`, `"openvino"`, `"torch"` or `"safetensors"`.
        out: the file to write; None takes `artifacts/` in the run, or the working folder for a network.
        precision: of the arithmetic.
        data: images to prove it on, as `open_dataset` takes them; None takes the run's own.
        weights: for the name of a network: published weights or a file.
        classes: for the name of a network: its class names.
        size: for the name of a network: (H, W) of its input.
        on_note: called with what the user should know on the way.

    Raises:
        ProofError: it answers differently; the message names the first operation that does, and nothing was written.
        ConvlensError: an unknown format, a precision that the format cannot hold, a package that is missing.
    """
    row = find_format(to)
    chosen = row.check_precision(precision)
    module = row.open()
    subject = open_subject(source, weights=weights, classes=classes, size=size)
    path = artifact_path(subject, row, chosen, out)
    images, origin = proof_images(subject, data, on_note or _silent)
    model = module.translate(subject.network, subject.preprocessing, chosen)
    return write_proved(subject, row, model, chosen, path, images, origin, on_note or _silent)


def write_proved(
    subject: Subject,
    row: Format,
    model: Any,
    precision: Precision,
    path: Path,
    images: Images,
    origin: str,
    note: Note,
) -> Artifact:
    """Write `model` beside its destination, prove it from there, and move it to `path` if the proof holds."""
    module = row.open()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.stem}-", dir=path.parent) as staging:
        staged = Path(staging) / path.name
        manifest = _manifest(subject, precision, inside=module.can_attach(subject.preprocessing))
        module.save(model, staged, manifest)
        proof = _prove(subject, row, module, staged, images, origin)
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
        manifest = replace(manifest, proof=proof.to_dict())
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


def proof_images(subject: Subject, data: str | Path | None, note: Note) -> tuple[Images, str]:
    """Find the images to prove the artifact on; a run's own data, or photographs if those are not here."""
    from convlens.shipping.proof_images import from_dataset, from_photographs

    dataset = open_data(subject, data, note)
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
        return open_dataset(data, classes=subject.classes)
    if subject.data is None:
        return None
    try:
        return open_dataset(subject.data, classes=subject.classes)
    except ConvlensError as error:
        note(f"the run's own data are not here ({error}); proved on photographs instead")
        return None


def _prove(subject: Subject, row: Format, module: FormatModule, path: Path, images: Images, origin: str) -> Proof:
    reference, candidate = _reference(subject), _candidate(row, path)
    preprocessing = candidate.preprocessing
    x = np.stack([preprocessing.apply(image) for image in images])
    expected_x = np.stack([subject.preprocessing.apply(image) for image in images])
    if not np.array_equal(x, expected_x) or candidate.classes != subject.classes:
        raise ProofError(f"{path.name} does not give back the classes and the preprocessing that went in; report this")
    model, manifest = module.read(path)
    expected = in_batches(reference, x, max(BATCHES))
    measured = compare(candidate, x, expected, manifest.precision)
    if manifest.preprocessing_inside:
        measured |= compare_inside(module.whole_probe(path), images, x, expected, preprocessing)
    proof = Proof(images=len(images), images_from=origin, batches=BATCHES, runtime=candidate.runtime, **measured)
    if not proof.holds:
        raise ProofError(_refusal(subject, module, model, manifest, proof, x))
    return proof


def _refusal(subject: Subject, module: FormatModule, model: Any, manifest: Manifest, proof: Proof, x: Any) -> str:
    from convlens.shipping.difference import first_difference

    found = first_difference(subject.network, subject.preprocessing, model, module, manifest.precision, x[:2])
    where = f"the first operation that differs is {found}" if found else "no single operation differs by itself"
    return (
        f"the {manifest.precision} artifact differs from the network by {proof.largest_difference:.2g} in a "
        f"probability (tolerance {proof.tolerance:.0e}; {proof.agreement:.1%} agreement); nothing was written; {where}"
    )


def _reference(subject: Subject) -> "Predictor":
    import copy

    from convlens.evaluation import TorchPredictor

    # A copy, because the predictor changes the memory format of what it gets.
    return TorchPredictor(copy.deepcopy(subject.network), subject.classes, subject.preprocessing, "cpu")


def _candidate(row: Format, path: Path) -> "shipping.Predictor":
    from convlens.shipping.loading import load_artifact

    return load_artifact(path, runtime=row.runtimes[0])


def _manifest(subject: Subject, precision: Precision, *, inside: bool) -> Manifest:
    from convlens.shipping.versions import versions

    return Manifest(
        network=dict(subject.choice),
        classes=subject.classes,
        preprocessing=subject.preprocessing,
        preprocessing_inside=inside,
        precision=precision,
        card=subject.card,
        run=dict(subject.run),
        weights_licence=subject.weights_licence,
        versions=versions(),
    )


def _move(row: Format, staged: Path, path: Path, manifest: Manifest) -> Artifact:
    """Put the files in place, the one that people name last, so that whoever finds it finds the others."""
    written = tuple(path.with_suffix(suffix) for suffix in row.suffixes)
    for target in reversed(written):
        with files.replacing(target) as temporary:
            staged.with_suffix(target.suffix).replace(temporary)
    return Artifact(path=path, files=written, format=row.name, manifest=manifest)


def _silent(_: str) -> None:
    return None
