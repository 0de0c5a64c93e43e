"""Preprocessing as ONNX operators: from the decoded image to the network's input, the same pixels as Pillow's."""

from typing import Any

import numpy as np

from convlens.images import Preprocessing
from convlens.predicting.tensor_names import IMAGE, INPUT, PREPROCESSING

_MODES = {"bilinear": "linear", "bicubic": "cubic"}


def can_attach(preprocessing: Preprocessing) -> bool:
    """Whether the operators can do it; whether they do it closely enough is for the proof to say."""
    return preprocessing.resize is None or (preprocessing.antialias and preprocessing.interpolation in _MODES)


def attach(model: Any, preprocessing: Preprocessing) -> Any:
    """Give a copy of `model` that begins at `image`, uint8 (N, H, W, C), all images of a batch of one size."""
    import onnx

    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    builder = _Builder()
    _build(builder, preprocessing)
    graph = whole.graph
    network_nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*builder.nodes, *network_nodes])
    graph.initializer.extend(builder.constants)
    shape = ["batch", "height", "width", preprocessing.channels]
    image = onnx.helper.make_tensor_value_info(IMAGE, onnx.TensorProto.UINT8, shape)
    del graph.input[:]
    graph.input.extend([image])
    return whole


def detach(model: Any) -> Any:
    """Give the part of `model` that begins at the network's input; a model without preprocessing is given as it is."""
    import onnx

    if model.graph.input[0].name == INPUT:
        return model
    core = onnx.ModelProto()
    core.CopyFrom(model)
    graph = core.graph
    kept = [node for node in graph.node if not node.name.startswith(PREPROCESSING)]
    constants = [tensor for tensor in graph.initializer if not tensor.name.startswith(PREPROCESSING)]
    shape = _input_shape(model)
    for field, values in ((graph.node, kept), (graph.initializer, constants)):
        del field[:]
        field.extend(values)
    del graph.input[:]
    graph.input.extend([onnx.helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, shape)])
    return core


def _input_shape(model: Any) -> list[str | int]:
    from onnx import numpy_helper

    fixed = next(tensor for tensor in model.graph.initializer if tensor.name == f"{PREPROCESSING}input_shape")
    return ["batch", *(int(side) for side in numpy_helper.to_array(fixed)[1:])]


class _Builder:
    """Collects nodes and constants, each named so that `detach` finds it again."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def __call__(self, operation: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        import onnx

        output = name or f"{PREPROCESSING}{operation.lower()}_{len(self.nodes)}"
        node_name = f"{PREPROCESSING}{operation}_{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(operation, [*inputs], [output], name=node_name, **attributes))
        return output

    def constant(self, value: Any, dtype: type = np.int64, name: str = "") -> str:
        from onnx import numpy_helper

        name = PREPROCESSING + (name or f"constant_{len(self.constants)}")
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name


def _build(build: _Builder, preprocessing: Preprocessing) -> None:
    # The Reshape changes nothing; it keeps ONNX Runtime from moving the Transpose behind a Resize that names its axes,
    # which fails in version 1.32.
    pixels = build("Reshape", build("Transpose", IMAGE, perm=[0, 3, 1, 2]), build.constant([0, 0, 0, -1]))
    if preprocessing.resize is not None:
        sizes = _target_sizes(build, pixels, preprocessing.resize)
        pixels = build(
            "Resize", pixels, "", "", sizes, axes=[2, 3], mode=_MODES[preprocessing.interpolation], antialias=1,
            coordinate_transformation_mode="half_pixel", cubic_coeff_a=-0.5, exclude_outside=1,
        )  # fmt: skip
    if preprocessing.crop == "center":
        pixels = _center_crop(build, pixels, preprocessing.size)
    shape = build.constant([0, preprocessing.channels, *preprocessing.size], name="input_shape")
    pixels = build("Reshape", pixels, shape)
    values = build("Div", build("Cast", pixels, to=1), build.constant(255.0, np.float32))
    mean, std = (np.reshape(per_channel, (1, -1, 1, 1)) for per_channel in (preprocessing.mean, preprocessing.std))
    centred = build("Sub", values, build.constant(mean, np.float32))
    build("Div", centred, build.constant(std, np.float32), name=INPUT)


def _height_width(build: _Builder, pixels: str) -> str:
    return build("Gather", build("Shape", pixels), build.constant([2, 3]))


def _target_sizes(build: _Builder, pixels: str, resize: int | tuple[int, int]) -> str:
    """(H, W) after the resize; with one side given, the other follows: side · long // short."""
    if isinstance(resize, tuple):
        return build.constant(resize)
    sides = _height_width(build, pixels)
    shorter = build("ReduceMin", sides, keepdims=1)
    scaled = build("Div", build("Mul", sides, build.constant([resize])), shorter)
    return build("Max", scaled, build.constant([1]))


def _center_crop(build: _Builder, pixels: str, size: tuple[int, int]) -> str:
    """Fill up with black what is too small, then cut; halves are rounded to even, as Python's round does."""
    wanted, zero = build.constant(size), build.constant([0])
    lacking = build("Max", build("Sub", wanted, _height_width(build, pixels)), zero)
    before = build("Div", lacking, build.constant([2]))
    after = build("Sub", lacking, before)
    none = build.constant([0, 0])
    pads = build("Concat", none, before, none, after, axis=0)
    pixels = build("Pad", pixels, pads, build.constant(0, np.uint8))
    spare = build("Cast", build("Sub", _height_width(build, pixels), wanted), to=1)
    start = build("Cast", build("Round", build("Mul", spare, build.constant(0.5, np.float32))), to=7)
    return build("Slice", pixels, start, build("Add", start, wanted), build.constant([2, 3]))
