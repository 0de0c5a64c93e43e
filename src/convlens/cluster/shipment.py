"""A classifier on its way to other machines: the files that it is made of, or the name that every machine knows."""

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convlens.classifiers import Classifier, resolve
from convlens.errors import ConvlensError
from convlens.images import Preprocessing

if TYPE_CHECKING:
    from convlens.predicting import Predictor


@dataclass(frozen=True, kw_only=True)
class Shipment:
    """What is sent.

    Args:
        source: the name of the folder or file that `files` make, or of a network of the catalogue.
        files: relative name -> content.
        weights: for a network: the name of published weights, or of the one file.
        classes: for a network with a file of weights: its class names.
        runtime: that computes.
        device: where PyTorch computes.
        preprocessing: of the classifier.
        fingerprint: of the classifier, by which it is checked on arrival.
    """

    source: str
    files: Mapping[str, bytes]
    weights: str | None
    classes: tuple[str, ...] | None
    runtime: str | None
    device: str
    preprocessing: Preprocessing
    fingerprint: str

    def unpack(self) -> Classifier:
        """Make the same classifier on this machine; its files go when the process ends.

        Raises:
            ConvlensError: it is not the same.
        """
        folder = Path(tempfile.mkdtemp(prefix="convlens-shipped-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        there = folder / self.source
        weights = None if self.weights is None else folder / self.weights
        found = resolve(
            str(there) if there.exists() else self.source,
            weights=weights if weights and weights.exists() else self.weights,
            classes=self.classes,
            trained=True,
        )
        if found.fingerprint != self.fingerprint:
            raise ConvlensError(
                f"{self.source} is another network on one of the nodes; install the same package of weights everywhere"
            )
        return found

    def predictor(self, *, threads: int, batch: int) -> "Predictor":
        """Make it answer."""
        found = self.unpack()
        return found.predictor(runtime=self.runtime, threads=threads, device=self.device, batch=batch)


def ship(found: Classifier, *, runtime: str | None, device: str, weights: str | None = None) -> Shipment:
    """Pack a classifier.

    Args:
        found: what `resolve` gave.
        runtime: what shall compute there.
        device: where PyTorch shall compute.
        weights: as the user named them.

    Raises:
        ConvlensError: it is code, which other machines do not have.
    """
    path, files = Path(found.source), dict[str, bytes]()
    source, classes = found.source, None
    if found.kind == "run":
        source = path.resolve().name
        kept = [path / "run.yaml", *sorted((path / "weights").glob("*.safetensors"))]
        files = {f"{source}/{file.relative_to(path)}": file.read_bytes() for file in kept}
    elif found.kind == "artifact":
        source = path.name
        beside = [file for file in path.parent.glob(f"{path.stem}.*") if file.suffix in (path.suffix, ".bin")]
        files = {file.name: file.read_bytes() for file in beside}
    elif found.kind == "network":
        if weights is not None and Path(weights).is_file():
            files = {Path(weights).name: Path(weights).read_bytes()}
            weights, classes = Path(weights).name, found.names
    else:
        raise ConvlensError(
            f"{found.source} is code, which the machines of a cluster do not have; train a run with it, or export it"
        )
    return Shipment(
        source=source,
        files=files,
        weights=weights if found.kind == "network" else None,
        classes=classes,
        runtime=runtime,
        device=device,
        preprocessing=found.preprocessing,
        fingerprint=found.fingerprint,
    )
