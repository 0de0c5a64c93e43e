"""A frozen program as an OpenVINO model: from its ONNX graph, with preprocessing in front, saved as .xml and .bin."""

import hashlib
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
from convlens.untrusted.reading import read_whole
from convlens.untrusted.sealing import seal

_MODES = {"bilinear": "bilinear_pillow", "bicubic": "bicubic_pillow"}
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
    """Whether the operators can do it; whether they do it closely enough is for the proof to say."""
    return preprocessing.resize is None or (preprocessing.antialias and preprocessing.interpolation in _MODES)


def attach(model: Any, preprocessing: Preprocessing) -> Any:
    """Give a copy of `model` that begins at `image`, uint8 (N, H, W, C), all images of a batch of one size.

    OpenVINO's own PrePostProcessor resizes to fixed sizes only; here the shorter side decides, so the operators that
    it would insert are inserted by hand.
    """
    openvino = untracked("openvino")

    whole = model.clone()
    parameter = whole.get_parameters()[0]
    image = openvino.opset13.parameter([-1, -1, -1, preprocessing.channels], openvino.Type.u8, name=IMAGE)
    image.output(0).get_tensor().set_names({IMAGE})
    values = _build(image, preprocessing)
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


def _build(image: Any, preprocessing: Preprocessing) -> Any:
    openvino = untracked("openvino")
    op = untracked("openvino").opset13

    pixels = op.transpose(image, np.array([0, 3, 1, 2], np.int64))
    if preprocessing.resize is not None:
        sizes = _target_sizes(pixels, preprocessing.resize)
        pixels = op.interpolate(
            pixels,
            sizes,
            _MODES[preprocessing.interpolation],
            "sizes",
            axes=np.array([2, 3], np.int64),
            cube_coeff=-0.5,
        )
    if preprocessing.crop == "center":
        pixels = _center_crop(pixels, preprocessing.size)
    shape = np.array([0, preprocessing.channels, *preprocessing.size], np.int64)
    pixels = op.reshape(pixels, shape, special_zero=True)
    values = op.divide(op.convert(pixels, openvino.Type.f32), np.float32(255))
    mean, std = (np.array(given, np.float32).reshape(1, -1, 1, 1) for given in (preprocessing.mean, preprocessing.std))
    return op.divide(op.subtract(values, mean), std)


def _height_width(pixels: Any) -> Any:
    op = untracked("openvino").opset13

    return op.gather(op.shape_of(pixels, "i64"), np.array([2, 3], np.int64), np.int64(0))


def _target_sizes(pixels: Any, resize: int | tuple[int, int]) -> Any:
    """(H, W) after the resize; with one side given, the other follows: side · long // short."""
    op = untracked("openvino").opset13

    if isinstance(resize, tuple):
        return op.constant(np.array(resize, np.int64))
    sides = _height_width(pixels)
    shorter = op.reduce_min(sides, np.array([0], np.int64), True)
    scaled = op.divide(op.multiply(sides, np.array([resize], np.int64)), shorter)
    return op.maximum(scaled, np.array([1], np.int64))


def _center_crop(pixels: Any, size: tuple[int, int]) -> Any:
    """Fill up with black what is too small, then cut; halves are rounded to even, as Python's round does."""
    openvino = untracked("openvino")
    op = untracked("openvino").opset13

    wanted, none = np.array(size, np.int64), np.zeros(2, np.int64)
    lacking = op.maximum(op.subtract(wanted, _height_width(pixels)), np.array([0], np.int64))
    before = op.divide(lacking, np.array([2], np.int64))
    after = op.subtract(lacking, before)
    pixels = op.pad(pixels, op.concat([none, before], 0), op.concat([none, after], 0), "constant", np.uint8(0))
    spare = op.convert(op.subtract(_height_width(pixels), wanted), openvino.Type.f32)
    start = op.convert(op.round(op.multiply(spare, np.float32(0.5)), "half_to_even"), openvino.Type.i64)
    return op.slice(pixels, start, op.add(start, wanted), np.ones(2, np.int64), np.array([2, 3], np.int64))
