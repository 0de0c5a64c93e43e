"""A network on every runtime in every precision, as files, to be measured against each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.artifacts.artifact_formats import FORMATS, Format
from convlens.artifacts.artifact_predictor import open_artifact
from convlens.classifiers.classifier import Classifier
from convlens.errors import ConvlensError, unknown_name
from convlens.predicting.engines import Precision
from convlens.predicting.predictor import Predictor
from convlens.predicting.runtimes import RUNTIMES, require

# runtime -> the format that brings a network to it; PyTorch runs the network as it is, from its weights
_FORMAT_FOR = {"torch": "safetensors", "onnxruntime": "onnx", "openvino": "openvino", "engine": "plan"}
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "int8")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A network on one runtime in one precision.

    Args:
        network: its name.
        predictor: that runs it.
        path: the file that it was loaded from.
        file_bytes: of all its files.
        source: what it was made from, for anatomy: the arguments of `networks.create`.
    """

    network: str
    predictor: Predictor
    path: Path
    file_bytes: int
    source: dict[str, Any]

    @property
    def name(self) -> str:
        """Network, runtime and precision."""
        return f"{self.network} {self.predictor.runtime} {self.predictor.precision}"


def choose_runtimes(names: Sequence[str]) -> tuple[str, ...]:
    """The runtimes of these names; `all` is every one that is installed.

    Raises:
        UnknownNameError: no runtime is called that.
        RuntimeMissingError: one is not installed.
    """
    if list(names) == ["all"]:
        return tuple(name for name, runtime in RUNTIMES.items() if runtime.installed)
    return tuple(require(name).name for name in names)


def choose_precisions(names: Sequence[str]) -> tuple[Precision, ...]:
    """The precisions of these names; `all` is every one.

    Raises:
        UnknownNameError: no precision is called that.
    """
    if list(names) == ["all"]:
        return PRECISIONS
    for name in names:
        if name not in PRECISIONS:
            raise unknown_name("precision", name, [*PRECISIONS, "all"])
    return tuple(precision for precision in PRECISIONS if precision in names)


def make_variants(
    subject: Classifier,
    runtimes: Sequence[str],
    precisions: Sequence[Precision],
    calibration_NCHW: NDArray[np.float32],
    folder: Path,
    threads: int,
    note: Callable[[str], None],
) -> list[Variant]:
    """Write a network in every wanted form below `folder`, and load each.

    Args:
        subject: the network.
        runtimes: by name.
        precisions: those that a runtime does not have are left out.
        calibration_NCHW: preprocessed images that decide the ranges of int8.
        folder: for the files.
        threads: that one call may use.
        note: told which could not be made, and why.
    """
    made: list[Variant] = []
    kept: dict[str, Any] = {}
    for runtime in runtimes:
        row = FORMATS[_FORMAT_FOR[runtime]]
        for precision in (precision for precision in precisions if precision in row.precisions):
            path = folder / f"{subject.network_name}-{runtime}-{precision}{row.suffixes[0]}"
            try:
                model = _model(subject, row, precision, calibration_NCHW, kept)
                row.open(writing=True).save(model, path, subject.manifest(precision))
                made.append(load_variant(subject.network_name, path, runtime, threads))
            except ConvlensError as error:
                note(f"{subject.network_name} {runtime} {precision}: {error}")
    return made


def _model(
    subject: Classifier, row: Format, precision: Precision, calibration_NCHW: NDArray[np.float32], kept: dict[str, Any]
) -> Any:
    """The network in a format and precision; float32 models, from which others are made, are kept."""
    if precision == "int8" and row.calibrates:
        return row.open(writing=True).translate(subject.network, subject.preprocessing, "int8", calibration_NCHW)
    if precision == "int8":
        from convlens.shipping.quantising import quantise_for_speed

        return quantise_for_speed(_float32(subject, row, kept), calibration_NCHW)
    if precision == "float32" or row.name == "openvino":  # whose bfloat16 is a setting of the same model
        return _float32(subject, row, kept)
    return row.open(writing=True).translate(subject.network, subject.preprocessing, precision)


def _float32(subject: Classifier, row: Format, kept: dict[str, Any]) -> Any:
    if row.name not in kept:
        module = row.open(writing=True)
        if row.name == "openvino":
            from convlens.artifacts import openvino_graph

            kept[row.name] = openvino_graph.from_onnx(_float32(subject, FORMATS["onnx"], kept))
        else:
            kept[row.name] = module.translate(subject.network, subject.preprocessing, "float32")
    return kept[row.name]


def load_variant(name: str, path: Path, runtime: str, threads: int) -> Variant:
    """Load an artifact as a variant."""
    opened = open_artifact(path)
    return Variant(
        network=name,
        predictor=opened.predictor(runtime, threads),
        path=path,
        file_bytes=sum(path.with_suffix(suffix).stat().st_size for suffix in opened.row.suffixes),
        source=dict(opened.manifest.network),
    )
