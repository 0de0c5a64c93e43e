"""A classifier on a runtime: as it is, or translated once, proved and kept in the cache."""

import hashlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlens import files
from convlens.artifacts.artifact_formats import find_format
from convlens.artifacts.artifact_predictor import choose_runtime, open_artifact
from convlens.artifacts.writing import write_proved
from convlens.classifiers.own_images import own_data, proof_images
from convlens.errors import ConvlensError
from convlens.predicting.apart import Subject
from convlens.predicting.fastest import fastest
from convlens.predicting.predictor import Predictor, torch_predictor
from convlens.predicting.runtimes import RUNTIMES
from convlens.predicting.versions import versions
from convlens.processors import default_threads

if TYPE_CHECKING:
    from convlens.classifiers.classifier import Classifier

# Runtimes that a network can be put on, and the format by which it gets there; "" is the network as it is.
FORMAT_FOR = {"torch": "", "onnxruntime": "onnx", "openvino": "openvino", "engine": "plan"}


def predictor_of(
    classifier: "Classifier", *, runtime: str | None, threads: int | None, device: str, batch: int
) -> Predictor:
    """Make a classifier answer images; see `Classifier.predictor`."""
    if threads is not None and threads < 1:
        raise ConvlensError(f"threads is {threads}; use at least 1")
    if runtime == "auto":
        return _on_the_fastest(classifier, threads or default_threads(), device, batch)
    if classifier.artifact is not None:
        _only_processor(device, classifier.source)
        return classifier.artifact.predictor(runtime, threads)
    chosen = choose_runtime(runtime, tuple(FORMAT_FOR), classifier.source)
    if chosen != "torch":
        _only_processor(device, chosen)
        return open_artifact(_translated(classifier, FORMAT_FOR[chosen])).predictor(chosen, threads)
    return torch_predictor(
        classifier.network,
        classifier.classes,
        classifier.preprocessing,
        device=device,
        threads=threads,
        source=classifier.source,
        facts=_facts(classifier),
    )


def _on_the_fastest(classifier: "Classifier", threads: int, device: str, batch: int) -> Predictor:
    _only_processor(device, "runtime 'auto'")
    possible = tuple(FORMAT_FOR) if classifier.artifact is None else classifier.artifact.row.runtimes
    candidates = {
        name: partial(predictor_of, classifier, runtime=name, threads=threads, device="cpu", batch=batch)
        for name in possible
        if RUNTIMES[name].installed
    }
    subjects = partial(_subjects, classifier, tuple(candidates), threads)
    return fastest(classifier.fingerprint, candidates, subjects, batch=batch, threads=threads)


def _subjects(
    classifier: "Classifier", runtimes: tuple[str, ...], threads: int
) -> tuple[dict[str, Subject], dict[str, str]]:
    """A classifier on each runtime as another process can load it, and why it cannot be had on others."""
    made: dict[str, Subject] = {}
    refused: dict[str, str] = {}
    for name in runtimes:
        try:
            made[name] = _subject(classifier, name, threads)
        except ConvlensError as error:  # such as an export that does not prove itself: the others may still serve
            refused[name] = str(error)
    return made, refused


def _subject(classifier: "Classifier", runtime: str, threads: int) -> Subject:
    if classifier.artifact is not None:
        return Subject(source=str(classifier.artifact.path), runtime=runtime, threads=threads)
    if runtime == "torch" and classifier.kind in ("run", "network"):
        weights = classifier.provenance.weights or None
        named = classifier.names if weights else None
        return Subject(
            source=classifier.source, runtime=runtime, threads=threads, weights=weights, classes=named or None
        )
    path = _translated(classifier, FORMAT_FOR[runtime] or "torch")  # a module in memory is nowhere else
    return Subject(source=str(path), runtime=runtime, threads=threads)


def _translated(classifier: "Classifier", to: str) -> Path:
    """The artifact of a classifier in a format, made and proved when it is first asked for.

    Raises:
        ProofError: the artifact does not answer as the network does.
    """
    row = find_format(to)
    made_with = hashlib.sha256(repr((classifier.fingerprint, sorted(versions().items()))).encode()).hexdigest()
    path = files.cache_folder() / "artifacts" / f"{made_with[:24]}{row.suffixes[0]}"
    if not all(path.with_suffix(suffix).is_file() for suffix in row.suffixes):
        module = row.open(writing=True)
        model = module.translate(classifier.network, classifier.preprocessing, "float32")
        inside = module.can_attach(classifier.preprocessing)
        images, origin = proof_images(classifier.preprocessing, own_data(classifier))
        write_proved(
            classifier.network, row, model, classifier.manifest("float32", inside=inside), path, images, origin
        )
    return path


def _facts(classifier: "Classifier") -> dict[str, Any]:
    provenance = classifier.provenance
    facts: dict[str, Any] = {"network": classifier.network_name, "run": dict(provenance.run)}
    if provenance.weights:
        facts |= {"weights": provenance.weights, "weights_licence": provenance.licence}
    return facts


def _only_processor(device: str, what: str) -> None:
    if device not in ("auto", "cpu"):
        raise ConvlensError(f"{what} runs on the processor, not on {device!r}; leave --device out")
