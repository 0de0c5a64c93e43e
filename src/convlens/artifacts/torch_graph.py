"""The graph of a .pt2 archive, built from its JSON by a reader that can do nothing else.

`torch.export.load` evaluates texts of the archive: expressions of sizes, guards, names of functions to call. Here a
graph consists of calls of PyTorch's ATen operators on tensors and numbers; whatever else the JSON says is refused.
"""

import json
import keyword
import operator
import re
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import torch
from torch import fx, nn
from torch._subclasses import FakeTensorMode

from convlens.artifacts.onnx_graph import MOST_NUMBERS

# The numbers that torch.export's schema gives to dtypes, layouts and memory formats.
_DTYPES = {
    1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64, 6: torch.float16,
    7: torch.float32, 8: torch.float64, 12: torch.bool, 13: torch.bfloat16,
}  # fmt: skip
_LAYOUTS = {7: torch.strided}
_MEMORY_FORMATS = {1: torch.contiguous_format, 2: torch.channels_last, 4: torch.preserve_format}
_OPERATOR = re.compile(r"torch\.ops\.aten\.(\w+)\.(\w+)")
# Python's operators on sizes, such as the half of a side; they know numbers only.
_ON_SIZES = {
    f"_operator.{name}": getattr(operator, name)
    for name in ("add", "sub", "mul", "floordiv", "truediv", "mod", "neg", "eq", "ne", "lt", "le", "gt", "ge")
}
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class GraphError(ValueError):
    """A graph that holds something else than calls of operators."""


def build_module(model: bytes, payload: Callable[[str, str], bytes], configs: Mapping[str, bytes]) -> fx.GraphModule:
    """Build the module from x (N, C, H, W) to probabilities that an archive describes.

    Args:
        model: the JSON of the graph.
        payload: from "weights" or "constants" and the name of a payload to its bytes.
        configs: "weights" and "constants" -> the JSON that says which payload a tensor is in.

    Raises:
        GraphError, KeyError, TypeError, ValueError, IndexError, AttributeError: it is no such graph.
    """
    described = json.loads(model)["graph_module"]
    tensors = {
        name: _tensor(entry, payload(kind, entry["path_name"]))
        for kind, config in configs.items()
        for name, entry in json.loads(config)["config"].items()
    }
    builder = _Builder(tensors)
    for spec in described["signature"]["input_specs"]:
        builder.add_input(spec)
    for node in described["graph"]["nodes"]:
        builder.add_call(node)
    (output,) = described["graph"]["outputs"]
    return builder.finish(output)


def check_sizes(module: fx.GraphModule, channels: int, size: tuple[int, int]) -> None:
    """Follow one image through a module without computing, and stop where a value would be beyond all reason.

    Raises:
        GraphError: a value has more numbers than any network's.
    """
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        _Sizes(module).run(torch.empty(1, channels, *size))


class _Sizes(fx.Interpreter):
    def run_node(self, n: fx.Node) -> Any:
        """Run one node and look at the size of what it makes."""
        value = super().run_node(n)
        if isinstance(value, torch.Tensor) and value.numel() > MOST_NUMBERS:
            raise GraphError(f"{n.name} makes {value.numel():,} numbers of one image")
        return value


class _Builder:
    """Adds the nodes of a graph in order; a value can be used only after it was made."""

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self._tensors = tensors
        self._root = nn.Module()
        self._graph = fx.Graph()
        self._values: dict[str, fx.Node] = {}
        self._inputs = 0

    def add_input(self, spec: Mapping[str, Any]) -> None:
        """Add a weight, or the one input."""
        ((kind, content),) = spec.items()
        if kind == "user_input":
            name, self._inputs = content["arg"]["as_tensor"]["name"], self._inputs + 1
            node = self._graph.placeholder(_checked(name))
        else:
            entry = {"parameter": "parameter_name", "buffer": "buffer_name", "tensor_constant": "tensor_constant_name"}
            name, attribute = content["arg"]["name"], f"tensor_{len(self._values)}"
            self._root.register_buffer(attribute, self._tensors[content[entry[kind]]])
            node = self._graph.get_attr(attribute)
        self._keep(name, node)

    def add_call(self, described: Mapping[str, Any]) -> None:
        """Add a call of an operator."""
        target = _operator(described["target"])
        given = [(entry, self._argument(entry["arg"])) for entry in described["inputs"]]
        positional = tuple(value for entry, value in given if entry["kind"] == 1)
        named = {_checked(entry["name"]): value for entry, value in given if entry["kind"] != 1}
        made = [_value_names(output) for output in described["outputs"]]
        alone = len(made) == 1 and isinstance(made[0], str)
        name = made[0] if alone else described.get("name") or "call"
        node = self._graph.create_node("call_function", target, positional, named, name=_checked(name))
        if alone:
            self._keep(name, node)
            return
        parts = made[0] if len(made) == 1 else made  # one list of tensors, or several results
        for position, part in enumerate(parts):
            if part:
                self._keep(part, self._graph.call_function(operator.getitem, (node, position)))

    def finish(self, output: Mapping[str, Any]) -> fx.GraphModule:
        """Give the module."""
        if self._inputs != 1:
            raise GraphError(f"it has {self._inputs} inputs")
        self._graph.output(self._argument(output))
        module = fx.GraphModule(self._root, self._graph)
        module.graph.lint()
        return module

    def _keep(self, name: str, node: fx.Node) -> None:
        if _checked(name) in self._values:
            raise GraphError(f"the value {name!r} is made twice")
        self._values[name] = node

    def _argument(self, described: Mapping[str, Any]) -> Any:
        ((kind, value),) = described.items()
        match kind:
            case "as_none":
                return None
            case "as_tensor":
                return self._values[value["name"]]
            case "as_tensors":
                return [self._values[entry["name"]] for entry in value]
            case "as_optional_tensor":
                return self._argument(value)
            case "as_optional_tensors" | "as_sym_ints":
                wrapped = kind == "as_sym_ints"
                return [self._argument({"as_sym_int": entry} if wrapped else entry) for entry in value]
            case "as_sym_int" | "as_sym_bool" | "as_sym_float":
                ((form, content),) = value.items()
                return self._values[content] if form == "as_name" else _number(content)
            case "as_int" | "as_float" | "as_bool":
                return _number(value)
            case "as_ints" | "as_floats" | "as_bools":
                return [_number(entry) for entry in value]
            case "as_string":
                return _word(value)
            case "as_scalar_type":
                return _DTYPES[value]
            case "as_layout":
                return _LAYOUTS[value]
            case "as_memory_format":
                return _MEMORY_FORMATS[value]
            case "as_device":
                if value["type"] != "cpu":
                    raise GraphError(f"it names the device {str(value['type'])[:40]!r}")
                return torch.device("cpu")
        raise GraphError(f"it has an argument of the kind {str(kind)[:40]!r}")


def _value_names(output: Mapping[str, Any]) -> Any:
    """The name of a result, or the names in a result that is a list; "" for one that is none."""
    ((kind, value),) = output.items()
    if kind == "as_none":
        return ""
    if isinstance(value, list):
        return [entry.get("name", "") for entry in value]
    return value["name"] if "name" in value else value["as_name"]


def _operator(target: Any) -> Any:
    if target in _ON_SIZES:
        return _ON_SIZES[target]
    found = _OPERATOR.fullmatch(target)
    packet = getattr(torch.ops.aten, found[1], None) if found else None
    overload = getattr(packet, found[2], None) if found else None
    if not isinstance(overload, torch._ops.OpOverload):
        raise GraphError(f"it calls {str(target)[:80]!r}, which is not an operator of a network")
    names = {argument.name for argument in overload._schema.arguments}
    if "filename" in names:  # aten.from_file maps a file of the machine
        raise GraphError(f"it calls {target!r}, which opens files")
    return overload


def _tensor(entry: Mapping[str, Any], content: bytes) -> torch.Tensor:
    meta = entry["tensor_meta"]
    dtype = _DTYPES[meta["dtype"]]
    sizes, strides = ([_whole(side["as_int"]) for side in meta[name]] for name in ("sizes", "strides"))
    offset = _whole(meta["storage_offset"]["as_int"])
    if entry["use_pickle"] or len(sizes) != len(strides):
        raise GraphError("a tensor is not stored as plain numbers")
    if not prod(sizes):
        return torch.zeros(sizes, dtype=dtype)
    last = offset + sum((side - 1) * stride for side, stride in zip(sizes, strides, strict=True))
    if (last + 1) * dtype.itemsize > len(content) or prod(sizes) * dtype.itemsize > len(content):
        raise GraphError(f"a tensor of {sizes} is larger than its {len(content):,} bytes")
    usable = len(content) // dtype.itemsize * dtype.itemsize
    values = torch.frombuffer(bytearray(content[:usable]), dtype=dtype)
    return values.as_strided(sizes, strides, offset).clone()


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise GraphError(f"{str(value)[:40]!r} is not a size")
    return value


def _number(value: Any) -> Any:
    """JSON has no infinities, so that the schema writes them as text."""
    if value in ("Infinity", "-Infinity", "NaN"):
        return float(value)
    if type(value) not in (int, float, bool):
        raise GraphError(f"{str(value)[:40]!r} is not a number")
    return value


def _word(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\w .,>-]{0,80}", value):
        raise GraphError(f"it holds the text {str(value)[:40]!r}")
    return value


def _checked(name: Any) -> str:
    """A name becomes part of the code that torch.fx writes."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise GraphError(f"{str(name)[:40]!r} is not a name")
    return name
