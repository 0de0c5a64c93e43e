"""A frozen program as an ONNX graph."""

import ast
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlens.artifacts.manifest import ArtifactError
from convlens.artifacts.sealed import read_sealed
from convlens.predicting.tensor_names import INPUT, OUTPUT

if TYPE_CHECKING:
    from torch.export import ExportedProgram

# 18 is the first in which Resize can average over the pixels that it merges, as Pillow does.
OPSET = 18
MOST_NUMBERS = 2**30  # of one value for one image: a hundred times the largest of a published network at 1,024 pixels
_SCOPES = "pkg.torch.onnx.name_scopes"  # the modules around a node, outermost first, and its own name


def from_program(program: "ExportedProgram") -> Any:
    """Translate a program to an `onnx.ModelProto` from `x` (N, C, H, W) to `probabilities` (N, K), any N."""
    model = _translate(program).model_proto
    _name_the_batch(model)
    _forget_the_maker(model)
    return model


def reference_module(program: "ExportedProgram") -> Any:
    """The program as PyTorch runs it, each operation under the name that its value has in the ONNX graph."""
    return _translate(program).exported_program.module()


def modules_of(model: Any) -> dict[str, str]:
    """Name of a node, or of a value that it makes -> path of the innermost module that it was recorded in."""
    places: dict[str, str] = {}
    for node in model.graph.node:
        scopes = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), "[]")
        named = [scope for scope in ast.literal_eval(scopes) if scope]  # the last is the operation itself
        if len(named) > 1:
            places |= dict.fromkeys((node.name, *node.output), str(named[-2]))
    return places


def _translate(program: "ExportedProgram") -> Any:
    import torch

    from convlens.artifacts.program import quiet_export

    with quiet_export():
        return torch.onnx.export(
            program, dynamo=True, verbose=False, opset_version=OPSET, input_names=[INPUT], output_names=[OUTPUT]
        )


def read(path: str | Path) -> Any:
    """Read an ONNX file.

    Raises:
        ArtifactError: it is damaged, no ONNX file, or holds what no network of convlens does.
    """
    import onnx

    content = read_sealed(Path(path))
    try:
        model = onnx.load_model_from_string(content)
        check_plain(model)
        onnx.checker.check_model(model)
        _check_sizes(onnx.shape_inference.infer_shapes(model, data_prop=True))
    except Exception as error:  # protobuf's DecodeError, which has no types, or the checker's
        reason = " ".join(str(error).split())[:160]
        raise ArtifactError(f"{path} is refused, truncated or no ONNX file ({reason}); export it again") from None
    return model


def check_plain(model: Any) -> None:
    """Stop unless a model is one graph of ONNX's own operators, with every number inside the file.

    Raises:
        ValueError: it refers to other files, or has operators of others, functions, sparse numbers, or graphs
            within graphs.
    """
    if model.functions or model.training_info:
        raise ValueError("it defines functions of its own")
    if model.graph.sparse_initializer:
        raise ValueError("it has sparse numbers")  # a few bytes of which stand for any number of zeros
    tensors = [*model.graph.initializer]
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise ValueError(f"it has the operator {node.op_type[:40]!r} of {node.domain[:40]!r}")
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs:
                raise ValueError(f"the operator {node.op_type[:40]!r} has a graph of its own")
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                raise ValueError(f"the operator {node.op_type[:40]!r} has sparse numbers")
            tensors += [attribute.t, *attribute.tensors]
    for tensor in tensors:
        if tensor.data_location or tensor.external_data:
            raise ValueError(f"the numbers of {tensor.name[:60]!r} are in another file")


def _check_sizes(model: Any) -> None:
    for value in (*model.graph.value_info, *model.graph.output, *model.graph.input):
        sides = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
        if prod(sides) > MOST_NUMBERS:
            raise ValueError(f"the value {value.name[:60]!r} has {prod(sides):,} numbers")


def set_strings(model: Any, strings: Mapping[str, str]) -> None:
    """Put the manifest's texts where every ONNX runtime shows them: the model's metadata."""
    del model.metadata_props[:]
    for key, value in strings.items():
        model.metadata_props.add(key=key, value=value)


def get_strings(model: Any) -> dict[str, str]:
    """Read the model's metadata."""
    return {entry.key: entry.value for entry in model.metadata_props}


def _name_the_batch(model: Any) -> None:
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"


def _forget_the_maker(model: Any) -> None:
    """Drop what the exporter notes about each node: source lines and paths of the machine that it ran on."""
    graph = model.graph
    for thing in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        kept = [(entry.key, entry.value) for entry in thing.metadata_props if entry.key == _SCOPES]
        del thing.metadata_props[:]
        for key, value in kept:
            thing.metadata_props.add(key=key, value=value)
    model.producer_name, model.doc_string = "convlens", ""
    del model.metadata_props[:]
