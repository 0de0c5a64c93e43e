"""An artifact on disk against the network that it was made from."""

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convlens.evaluation import TorchPredictor
from convlens.shipping.formats import Format, FormatModule
from convlens.shipping.manifest import Manifest
from convlens.shipping.proof import BATCHES, Images, Proof, ProofError, compare, compare_inside, in_batches
from convlens.shipping.subject import Subject

if TYPE_CHECKING:
    from convlens import shipping


def prove(subject: Subject, row: Format, path: Path, images: Images, origin: str) -> Proof:
    """Compare the file at `path` with the network, on the same images.

    Raises:
        ProofError: it answers differently; the message names the first operation that does.
    """
    module = row.open()
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


def _reference(subject: Subject) -> TorchPredictor:
    # A copy, because the predictor changes the memory format of what it gets.
    return TorchPredictor(copy.deepcopy(subject.network), subject.classes, subject.preprocessing, "cpu")


def _candidate(row: Format, path: Path) -> "shipping.Predictor":
    from convlens.shipping.loading import load_artifact

    return load_artifact(path, runtime=row.runtimes[0])
