"""ONNX: one file that every ONNX runtime takes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlens.artifacts import onnx_graph, onnx_preprocessing
from convlens.artifacts.manifest import Manifest
from convlens.artifacts.onnx_preprocessing import can_attach
from convlens.artifacts.probes import Probe, onnx_probe
from convlens.images import Preprocessing
from convlens.predicting.engines import Engine, OnnxRuntimeEngine, OpenVinoEngine, Precision
from convlens.predicting.tensor_names import INPUT, OUTPUT
from convlens.untrusted.sealing import seal

if TYPE_CHECKING:
    from torch import nn

__all__ = ["can_attach", "engine", "operations_probe", "read", "save", "translate", "whole_probe"]


def translate(network: "nn.Module", preprocessing: Preprocessing, precision: Precision) -> Any:
    """Turn a network into an `onnx.ModelProto` of float32."""
    from convlens.artifacts.program import freeze

    assert precision == "float32", "int8 is made from the float32 model, by quantising"
    return onnx_graph.from_program(freeze(network, preprocessing.channels, preprocessing.size))


def save(model: Any, path: Path, manifest: Manifest) -> None:
    """Write the model with its manifest, preprocessing inside if the manifest says so."""
    import onnx

    whole = onnx.ModelProto()
    # a copy, because OpenVINO takes over the metadata of a model that is converted afterwards
    whole.CopyFrom(onnx_preprocessing.attach(model, manifest.preprocessing) if manifest.preprocessing_inside else model)
    onnx_graph.set_strings(whole, manifest.to_strings())
    path.write_bytes(seal(whole.SerializeToString()))


def read(path: Path) -> tuple[Any, Manifest]:
    """Read what `save` wrote; the model begins at the preprocessed image."""
    model = onnx_graph.read(path)
    return onnx_preprocessing.detach(model), Manifest.from_strings(onnx_graph.get_strings(model), str(path))


def engine(model: Any, manifest: Manifest, runtime: str, threads: int) -> Engine:
    """Make it compute on ONNX Runtime, or on OpenVINO, which reads ONNX too."""
    if runtime == "onnxruntime":
        return OnnxRuntimeEngine(model.SerializeToString(), threads)
    from convlens.artifacts import openvino_graph

    return OpenVinoEngine(openvino_graph.from_onnx(model), threads, manifest.precision)


def whole_probe(path: Path) -> Probe:
    """From decoded images (N, H, W, C) to the preprocessed images and the probabilities, both by name."""
    return onnx_probe(onnx_graph.read(path), (INPUT, OUTPUT), optimise=True)


def operations_probe(model: Any, names: Sequence[str], _precision: Precision) -> Probe:
    """From preprocessed images to the named tensors inside."""
    return onnx_probe(model, names)
