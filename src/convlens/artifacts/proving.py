"""An artifact on disk against the network that it was made from."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convlens.artifacts.artifact_formats import Format, FormatModule
from convlens.artifacts.artifact_predictor import open_artifact
from convlens.artifacts.manifest import Manifest
from convlens.artifacts.proof import BATCHES, Images, Proof, ProofError, compare, compare_inside, in_batches
from convlens.predicting.finite import check_finite
from convlens.predicting.protocol import Answering

if TYPE_CHECKING:
    from torch import nn


def prove(network: "nn.Module", reference: Answering, row: Format, path: Path, images: Images, origin: str) -> Proof:
    """Compare the file at `path` with the network, on the same images.

    Args:
        network: what the file was made from, to find the first operation that differs.
        reference: the same network, ready to answer, with its classes and preprocessing.
        row: the file's format.
        path: the file.
        images: decoded, uint8 (H, W, C).
        origin: where they are from.

    Raises:
        NotFiniteError: the network itself answers with NaN.
        ProofError: it answers differently; the message names the first operation that does.
    """
    module = row.open()
    candidate = open_artifact(path).predictor()
    preprocessing = candidate.preprocessing
    x = np.stack([preprocessing.apply(image) for image in images])
    expected_x = np.stack([reference.preprocessing.apply(image) for image in images])
    if not np.array_equal(x, expected_x) or candidate.classes != reference.classes:
        raise ProofError(f"{path.name} does not give back the classes and the preprocessing that went in; report this")
    model, manifest = module.read(path)
    expected = in_batches(reference, x, max(BATCHES))
    check_finite(expected)
    measured = compare(candidate, x, expected, manifest.precision)
    if manifest.preprocessing_inside:
        measured |= compare_inside(module.whole_probe(path), images, x, expected, preprocessing)
    proof = Proof(images=len(images), images_from=origin, batches=BATCHES, runtime=candidate.runtime, **measured)
    if not proof.holds:
        raise ProofError(_refusal(network, module, model, manifest, proof, x))
    return proof


def _refusal(network: "nn.Module", module: FormatModule, model: Any, manifest: Manifest, proof: Proof, x: Any) -> str:
    from convlens.artifacts.difference import first_difference

    found = first_difference(network, manifest.preprocessing, model, module, manifest.precision, x[:2])
    where = f"the first operation that differs is {found}" if found else "no single operation differs by itself"
    return (
        f"the {manifest.precision} artifact differs from the network by {proof.largest_difference:.2g} in a "
        f"probability (tolerance {proof.tolerance:.0e}; {proof.agreement:.1%} agreement); nothing was written; {where}"
    )
