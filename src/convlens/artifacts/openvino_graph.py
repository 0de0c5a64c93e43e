"""A frozen program as an OpenVINO model: from its ONNX graph, with preprocessing in front, saved as .xml and .bin."""

import hashlib
import json
import re
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from convlens.artifacts.manifest import PREFIX, ArtifactError
from convlens.artifacts.onnx_graph import MOST_NUMBERS, modules_of
from convlens.artifacts.sealed import read_sealed
from convlens.images import Preprocessing
from convlens.predicting.openvino_core import openvino_core
from convlens.predicting.tensor_names import IMAGE, INPUT, OUTPUT, PREPROCESSING
from convlens.predicting.untracked import untracked
from convlens.untrusted.sealing import seal
from convlens.untrusted.untrusted_bytes import read_whole

PLACE = "::"  # between the module that an operation was recorded in and its own name
_ROOM = "convlens"  # where in the model's rt_info the manifest lies


def from_onnx(model: Any) -> Any:
    """Convert an `onnx.ModelProto` to an `openvino.Model`."""
    # Not openvino.convert_model, which reports its use over the network.
    converted = openvino_core().read_model(model.SerializeToString(), b"")
    converted.inputs[0].get_node().set_friendly_name(INPUT)
    converted.inputs[0].get_tensor().set_names({INPUT})
    converted.outputs[0].get_tensor().set_names({OUTPUT})
    places = modules_of(model)
    for node in converted.get_ops():
        name, _, part = node.get_friendly_name().partition("/")
        if name in places:
            node.set_friendly_name("/".join(filter(None, (places[name] + PLACE + name, part))))
    return converted


def can_attach(preprocessing: Preprocessing) -> bool:
    """Whether the file can begin at the decoded image without its memory growing with what it is given.

    OpenVINO keeps what it prepares for each size of a resize or a crop, hundreds of megabytes for photographs, up to
    5,000 sizes, and no entry of a file can bound that. So only images of one size are prepared inside.
    """
    return preprocessing.resize is None and preprocessing.crop is None


def attach(model: Any, preprocessing: Preprocessing) -> Any:
    """Give a copy of `model` that begins at `image`, uint8 (N, H, W, C) of the network's size."""
    openvino = untracked("openvino")
    op = openvino.opset13

    whole = model.clone()
    parameter = whole.get_parameters()[0]
    image = op.parameter([-1, *preprocessing.size, preprocessing.channels], openvino.Type.u8, name=IMAGE)
    image.output(0).get_tensor().set_names({IMAGE})
    pixels = op.transpose(image, np.array([0, 3, 1, 2], np.int64))
    values = op.divide(op.convert(pixels, openvino.Type.f32), np.float32(255))
    mean, std = (np.array(given, np.float32).reshape(1, -1, 1, 1) for given in (preprocessing.mean, preprocessing.std))
    values = op.divide(op.subtract(values, mean), std)
    values.set_friendly_name(PREPROCESSING + INPUT)
    for target in parameter.output(0).get_target_inputs():
        target.replace_source_output(values.output(0))
    whole.add_parameters([image])
    whole.remove_parameter(parameter)
    values.output(0).get_tensor().set_names({INPUT})
    whole.validate_nodes_and_infer_types()
    return whole


def detach(model: Any, preprocessing: Preprocessing) -> Any:
    """Give the part of `model` that begins at the network's input; a model without preprocessing is given as it is."""
    openvino = untracked("openvino")

    if model.inputs[0].get_any_name() == INPUT:
        return model
    core = model.clone()
    image = core.get_parameters()[0]
    end = next(node for node in core.get_ops() if node.get_friendly_name() == PREPROCESSING + INPUT)
    end.output(0).get_tensor().set_names(set())
    parameter = openvino.opset13.parameter(
        [-1, preprocessing.channels, *preprocessing.size], openvino.Type.f32, name=INPUT
    )
    parameter.output(0).get_tensor().set_names({INPUT})
    for target in end.output(0).get_target_inputs():
        target.replace_source_output(parameter.output(0))
    core.add_parameters([parameter])
    core.remove_parameter(image)
    core.validate_nodes_and_infer_types()
    return core


def save(model: Any, path: Path, strings: Mapping[str, str], *, halve: bool = False) -> None:
    """Write `path` (.xml) and the weights beside it (.bin); the .xml knows the digest of the other.

    Args:
        model: an `openvino.Model`.
        path: of the .xml.
        strings: the manifest.
        halve: whether to keep the weights as float16, which has three bits more than bfloat16 has.
    """
    openvino = untracked("openvino")

    def write() -> None:
        openvino.save_model(model, str(path), compress_to_fp16=halve)

    if not halve:  # where OpenVINO's tools look for how a model is to be compiled
        model.set_rt_info("f32", ["runtime_options", "INFERENCE_PRECISION_HINT"])
    labels = " ".join(label.replace(" ", "_") for label in json.loads(strings[f"{PREFIX}classes"]))
    for key, value in (("model_type", "Classification"), ("labels", labels)):  # as OpenVINO's Model API reads them
        model.set_rt_info(value, ["model_info", key])
    write()  # once for the weights, which the manifest does not change
    digest = hashlib.sha256(path.with_suffix(".bin").read_bytes()).hexdigest()
    for key, value in (*strings.items(), (f"{PREFIX}sha256", digest)):
        model.set_rt_info(value, [_ROOM, key.removeprefix(PREFIX)])
    write()
    path.write_bytes(seal(path.read_bytes()))


def read(path: str | Path) -> Any:
    """Read an .xml and its .bin.

    Raises:
        ArtifactError: one of them is missing, truncated or not what convlens wrote.
    """
    path = Path(path)
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise ArtifactError(f"{path} needs {weights.name} beside it, which is missing; copy both files")
    graph, numbers = read_sealed(path), read_whole(weights)
    digests = re.findall(rb'<sha256 value="(\w+)"', graph)
    if digests != [hashlib.sha256(numbers).hexdigest().encode()]:
        raise ArtifactError(f"{weights} is truncated or of another model; copy both files again or export again")
    try:
        model = openvino_core().read_model(graph, numbers)
        _check_sizes(model)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[-120:]
        raise ArtifactError(f"{path} is refused, truncated or no OpenVINO model ({reason}); export it again") from None
    return model


def _check_sizes(model: Any) -> None:
    for node in model.get_ops():
        for output in node.outputs():
            sides = [1 if side.is_dynamic else side.get_length() for side in output.get_partial_shape()]
            if prod(sides) > MOST_NUMBERS:
                raise ValueError(f"{node.get_friendly_name()[:60]!r} has {prod(sides):,} numbers")


def get_strings(model: Any) -> dict[str, str]:
    """Read the manifest's texts."""
    if not model.has_rt_info([_ROOM]):
        return {}
    room = model.get_rt_info([_ROOM]).astype(dict)
    return {PREFIX + key: value.astype(str) for key, value in room.items()}
