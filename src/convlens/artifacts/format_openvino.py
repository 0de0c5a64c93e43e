"""OpenVINO: an .xml with the graph and a .bin with the weights beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlens.artifacts import format_onnx, openvino_graph
from convlens.artifacts.manifest import Manifest
from convlens.artifacts.openvino_graph import can_attach
from convlens.artifacts.probes import Probe, openvino_probe
from convlens.images import Preprocessing
from convlens.predicting.engines import Engine, OpenVinoEngine, Precision
from convlens.predicting.tensor_names import INPUT, OUTPUT

if TYPE_CHECKING:
    from torch import nn

__all__ = ["can_attach", "engine", "operations_probe", "read", "save", "translate", "whole_probe"]


def translate(network: "nn.Module", preprocessing: Preprocessing, _precision: Precision) -> Any:
    """Turn a network into an `openvino.Model`, by way of its ONNX graph."""
    return openvino_graph.from_onnx(format_onnx.translate(network, preprocessing, "float32"))


def save(model: Any, path: Path, manifest: Manifest) -> None:
    """Write the model with its manifest, preprocessing inside if the manifest says so."""
    whole = openvino_graph.attach(model, manifest.preprocessing) if manifest.preprocessing_inside else model.clone()
    openvino_graph.save(whole, path, manifest.to_strings(), halve=manifest.precision == "bfloat16")


def read(path: Path) -> tuple[Any, Manifest]:
    """Read what `save` wrote; the model begins at the preprocessed image."""
    model = openvino_graph.read(path)
    manifest = Manifest.from_strings(openvino_graph.get_strings(model), str(path))
    return openvino_graph.detach(model, manifest.preprocessing), manifest


def engine(model: Any, manifest: Manifest, _runtime: str, threads: int) -> Engine:
    """Make it compute on OpenVINO."""
    return OpenVinoEngine(model, threads, manifest.precision)


def whole_probe(path: Path) -> Probe:
    """From decoded images (N, H, W, C) to the preprocessed images and the probabilities, both by name."""
    model = openvino_graph.read(path)
    precision = Manifest.from_strings(openvino_graph.get_strings(model), str(path)).precision
    return openvino_probe(model, (INPUT, OUTPUT), precision)


def operations_probe(model: Any, names: Sequence[str], precision: Precision) -> Probe:
    """From preprocessed images to the named tensors inside."""
    return openvino_probe(model, names, precision)
