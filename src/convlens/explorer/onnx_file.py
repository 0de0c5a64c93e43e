"""ONNX files that anybody made, as page 7 draws them: nothing is run, and no number outside the file is read."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

from convlens.artifacts.manifest import FORMAT_ENTRY
from convlens.errors import ConvlensError, unknown_name
from convlens.explorer.folding import INPUT, Node, join_followers
from convlens.explorer.node_names import Part, spelt_convolution, spelt_pool
from convlens.untrusted.untrusted_bytes import read_whole

MOST_BYTES = 2**31  # what one protobuf message can hold
SIDE, CHANNELS = 224, 3  # where the file leaves them open

_FOLLOWERS = {  # what only follows, by its short name; a change of form has none
    "BatchNormalization": "BN",
    "InstanceNormalization": "IN",
    "LayerNormalization": "LN",
    "GroupNormalization": "GN",
    "LRN": "LRN",
    "Relu": "ReLU",
    "LeakyRelu": "leaky ReLU",
    "PRelu": "PReLU",
    "Elu": "ELU",
    "Selu": "SELU",
    "Clip": "clip",
    "Sigmoid": "sigmoid",
    "HardSigmoid": "hard sigmoid",
    "HardSwish": "hard swish",
    "Tanh": "tanh",
    "Gelu": "GELU",
    "Softplus": "softplus",
    "Mish": "Mish",
    "Dropout": "dropout",
    "Identity": "",
    "Cast": "",
    "Flatten": "",
    "Reshape": "",
    "Squeeze": "",
    "Unsqueeze": "",
    "QuantizeLinear": "",
    "DequantizeLinear": "",
}
_SHIFTS = ("Add", "Sub", "Mul", "Div")
_SIGNS = {"Add": ("add", "+"), "Sum": ("add", "+"), "Concat": ("concat", "concat"), "Mul": ("multiply", "×")}
# no product of sums: by the house's count they have no multiply-accumulate operation
_WITHOUT_MACS = frozenset(
    re.findall(
        r"\w+",
        """
        Abs ArgMax Ceil DepthToSpace Div Equal Erf Exp Expand Floor Gather Greater Less Log LogSoftmax Max Min Neg Not
        Pad Pow Reciprocal ReduceMax ReduceMean ReduceSum Resize Round Slice Softmax SpaceToDepth Split Sqrt Sub Tile
        TopK Transpose Upsample Where
        """,
    )
) | {*_FOLLOWERS, *_SIGNS}
_CONVOLUTIONS = ("Conv", "ConvTranspose", "ConvInteger", "QLinearConv")
_PRODUCTS = ("Gemm", "MatMul", "MatMulInteger", "QLinearMatMul")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Parameters and MACs of one operation; None where there is no formula."""

    parameters: int
    macs: int | None
    flops: int | None = None


@dataclass(frozen=True, kw_only=True)
class OnnxFile:
    """A network in an ONNX file.

    Attributes:
        path: the file.
        model: what it holds, with the shapes that follow from its input.
        size: (C, H, W) of the image that the shapes are for.
    """

    path: Path
    model: Any
    size: tuple[int, int, int]

    @property
    def name(self) -> str:
        """By which the pages call it."""
        return self.path.name

    @cached_property
    def drawing(self) -> dict[str, Any]:
        """What page 7 draws, as `api.network` gives it for a network in PyTorch."""
        reading = _Reading(self.model.graph)
        nodes, edges = reading.nodes()
        told = [node.to_dict() for node in nodes]
        totals = {key: sum(node[key] or 0 for node in told) for key in ("parameters", "macs")}
        return {
            "nodes": told,
            "edges": edges,
            "groups": [],
            "totals": totals | {"flops": None, "peak_memory": reading.peak(), "operations": len(self.model.graph.node)},
            "not_counted": reading.not_counted,
        }

    def weights(self, node: str) -> dict[str, Any]:
        """The constants that a node reads: name and values, of those inside the file.

        Raises:
            ConvlensError: there is no such node.
        """
        from onnx import numpy_helper

        reading = _Reading(self.model.graph)
        if node not in reading.owned:
            raise unknown_name("node", node, list(reading.owned))
        inside = [each for each in reading.owned[node] if not each.data_location and each.data_type in (1, 10, 11, 16)]
        return {each.name: numpy_helper.to_array(each) for each in inside}


def read_onnx(path: Path, side: int | None = None) -> OnnxFile:
    """Read an ONNX file of anybody's.

    Args:
        path: of the file.
        side: the height and width of the image, where the file leaves them open.

    Raises:
        ConvlensError: it is damaged, no ONNX file, its first input is not a batch of images, or
            its size is fixed and another.
    """
    return _parsed(read_whole(path, most=MOST_BYTES), path, side)


def read_foreign(path: Path) -> OnnxFile | None:
    """Read what is named as ONNX files are, unless `export` wrote it; None for that, and for anything else.

    Raises:
        ConvlensError: as `read_onnx`.
    """
    if path.suffix != ".onnx" or not path.is_file():
        return None
    content = read_whole(path, most=MOST_BYTES)
    return None if FORMAT_ENTRY.encode() in content else _parsed(content, path, None)


def _parsed(content: bytes, path: Path, side: int | None) -> OnnxFile:
    import onnx

    try:
        model = onnx.load_model_from_string(content)
        size = _settle(model, side)
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except ConvlensError as error:
        raise ConvlensError(f"{path}: {error}") from None
    except Exception as error:  # protobuf's DecodeError, which has no types, or the checker's
        reason = " ".join(str(error).split())[:160]
        raise ConvlensError(f"{path} is damaged or no ONNX file ({reason})") from None
    return OnnxFile(path=path, model=model, size=size)


def _settle(model: Any, side: int | None) -> tuple[int, int, int]:
    """Give one image to a graph whose sides are open; returns (C, H, W)."""
    known = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in known]
    if not inputs or len(inputs[0].type.tensor_type.shape.dim) != 4:
        raise ConvlensError("its first input is not a batch of images (N, C, H, W), so it cannot be drawn")
    dims = inputs[0].type.tensor_type.shape.dim
    for dim, usual in zip(dims, (1, CHANNELS, side or SIDE, side or SIDE), strict=True):
        if dim.dim_value <= 0:
            dim.dim_value = usual
    dims[0].dim_value = 1
    size = dims[1].dim_value, dims[2].dim_value, dims[3].dim_value
    if side is not None and side not in size[1:]:
        raise ConvlensError(f"it is made for images of {size[1]}×{size[2]} pixels; leave the size out")
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return size


class _Reading:
    """One pass over a graph: which values are constants, which nodes compute on the image, and what they cost."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        values = (*graph.input, *graph.value_info, *graph.output)
        self.shapes: dict[str, tuple[int, ...]] = {
            each.name: tuple(dim.dim_value for dim in each.type.tensor_type.shape.dim) for each in values
        }
        self.kinds = {each.name: each.type.tensor_type.elem_type for each in values}
        constants: dict[str, list[Any]] = {each.name: [each] for each in graph.initializer}
        self.sizes = {each.name: tuple(each.dims) for each in graph.initializer}
        self.owned: dict[str, list[Any]] = {}
        self.computing: list[tuple[str, Any]] = []
        self.not_counted: dict[str, int] = {}
        taken: set[str] = set()
        for index, node in enumerate(graph.node):
            read = [name for name in node.input if name]
            if all(name in constants for name in read) or self._is_arithmetic_of_shapes(node):
                held = [each for name in read for each in constants.get(name, [])] + _written(node)
                for output in node.output:
                    constants[output] = held
                    self.sizes.setdefault(output, self.shapes.get(output, ()))
                continue
            name = node.name or f"{node.op_type}_{index}"
            name = f"{name}#{index}" if name in self.owned else name
            held = [each for each_name in read for each in constants.get(each_name, []) if each.name not in taken]
            taken.update(each.name for each in held)
            self.owned[name] = held
            self.computing.append((name, node))
        self.fixed = constants.keys()

    def _is_arithmetic_of_shapes(self, node: Any) -> bool:
        """Shapes that are computed as numbers: lists of integers, which no image is."""
        return node.op_type in ("Shape", "Size") or all(
            self.kinds.get(name) == 7 and len(self.shapes.get(name, (0, 0))) < 2 for name in node.output
        )

    def nodes(self) -> tuple[list[Node], list[tuple[str, str]]]:
        first = next(each for each in self.graph.input if each.name not in self.sizes)
        made = {
            INPUT: Node(
                id=INPUT,
                part=Part(type="input", label="", details={}),
                module=None,
                group=(),
                shape=self.shapes[first.name][1:],
            )
        }
        makers = {each.name: INPUT for each in self.graph.input if each.name not in self.sizes}
        edges: dict[tuple[str, str], None] = {}
        for name, node in self.computing:
            shape = self.shapes.get(node.output[0], ())
            made[name] = Node(
                id=name,
                part=self._part(node, shape),
                module=None,
                group=(),
                shape=shape[1:],
                rows=[self._cost(name, node, shape)],
                output_bytes=self._bytes(node.output[0]),
            )
            edges |= dict.fromkeys((makers[each], name) for each in node.input if each in makers)
            makers |= dict.fromkeys(node.output, name)
        return join_followers(made, list(edges))

    def _part(self, node: Any, shape: tuple[int, ...]) -> Part:
        kind = node.op_type
        attributes = _attributes(node)
        if kind in _CONVOLUTIONS and (weight := self._weight(node)):
            groups, axes = attributes.get("group", 1), len(weight) - 2
            return spelt_convolution(
                kernel=weight[2:],
                out=shape[1] if len(shape) > 1 else weight[0],
                groups=groups,
                depthwise=groups > 1 and groups == self.shapes.get(node.input[0], (0, 0))[1],
                stride=attributes.get("strides", [1] * axes),
                dilation=attributes.get("dilations", [1] * axes),
                transposed=kind == "ConvTranspose",
            )
        if kind in _PRODUCTS:
            return Part(type="linear", label=f"fc {shape[-1] if shape else '?'}", details={})
        if kind.startswith("Global") and kind.endswith("Pool"):
            return spelt_pool("max" if "Max" in kind else "average")
        if kind in ("MaxPool", "AveragePool"):
            kernel = attributes["kernel_shape"]
            return spelt_pool(
                "max" if kind == "MaxPool" else "average", kernel, attributes.get("strides", [1] * len(kernel))
            )
        if kind in _FOLLOWERS:
            return Part(type="follower", label=_FOLLOWERS[kind], details={})
        if kind in _SHIFTS and any(name in self.fixed for name in node.input):
            return Part(type="follower", label="", details={})  # a bias or a scale
        type_, label = _SIGNS.get(kind, ("other", kind))
        return Part(type=type_, label=label, details={})

    def _weight(self, node: Any) -> tuple[int, ...]:
        """The shape of a convolution's or a product's constant: the first with two axes or more."""
        return next(
            (self.sizes[name] for name in node.input[1:] if name in self.fixed and len(self.sizes[name]) > 1), ()
        )

    def _cost(self, name: str, node: Any, shape: tuple[int, ...]) -> Cost:
        kind = node.op_type
        parameters = sum(
            prod(each.dims) for each in self.owned[name] if each.data_type != 7
        )  # integers are shapes and axes
        weight, macs = self._weight(node), None
        if kind in _CONVOLUTIONS and weight and shape:
            places = self.shapes.get(node.input[0], ()) if kind == "ConvTranspose" else shape
            macs = prod(places) * prod(weight[1:])
        elif kind in _PRODUCTS and shape:
            inner = self.shapes.get(node.input[0], ())
            transposed = kind == "Gemm" and _attributes(node).get("transA", 0)
            macs = prod(shape) * inner[0 if transposed else -1] if inner else None
        elif kind in _WITHOUT_MACS or "Pool" in kind:
            macs = 0
        if macs is None:
            self.not_counted[kind] = self.not_counted.get(kind, 0) + 1
        return Cost(parameters=parameters, macs=macs)

    def _bytes(self, name: str) -> int:
        from onnx.helper import tensor_dtype_to_np_dtype

        kind = self.kinds.get(name, 1) or 1
        size: int = tensor_dtype_to_np_dtype(kind).itemsize
        return prod(self.shapes.get(name, ())) * size

    def peak(self) -> int:
        """The most bytes that live at a time: nodes run in the file's order, a value goes after its last reader."""
        last = {name: index for index, (_, node) in enumerate(self.computing) for name in node.input}
        kept = {each.name for each in self.graph.output}
        live = {each.name: self._bytes(each.name) for each in self.graph.input if each.name not in self.sizes}
        most = 0
        for index, (_, node) in enumerate(self.computing):
            live |= {name: self._bytes(name) for name in node.output}
            most = max(most, sum(live.values()))
            live = {name: size for name, size in live.items() if last.get(name, -1) > index or name in kept}
        return most


def _written(node: Any) -> list[Any]:
    """The tensor that a `Constant` node holds, under the name of its output."""
    if node.op_type != "Constant":
        return []
    held = [each.t for each in node.attribute if each.name == "value"]
    for tensor in held:
        tensor.name = node.output[0]
    return held


def _attributes(node: Any) -> Mapping[str, Any]:
    from onnx.helper import get_attribute_value

    return {each.name: get_attribute_value(each) for each in _plain(node.attribute)}


def _plain(attributes: Iterable[Any]) -> list[Any]:
    return [each for each in attributes if not each.ref_attr_name]
