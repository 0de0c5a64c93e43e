"""Tensors inside a shipped graph, by name: to compare operation by operation, and to look at the preprocessing."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.predicting.engines import Precision, compile_openvino, onnx_session

Array = NDArray[Any]
# input -> the named tensors, in the order of computation
Probe = Callable[[Array], dict[str, Array]]


def onnx_probe(model: Any, names: Sequence[str], *, optimise: bool = False) -> Probe:
    """Open an ONNX graph so that it gives the named values inside it; names that it does not have are left out.

    Args:
        model: an `onnx.ModelProto` with one input.
        names: of values.
        optimise: whether ONNX Runtime may fuse operations, as it does for users.
    """
    import onnx

    shown_model = onnx.ModelProto()
    shown_model.CopyFrom(model)
    wanted, outputs = set(names), {output.name for output in model.graph.output}
    shown = [name for node in model.graph.node for name in node.output if name in wanted]
    shown_model.graph.output.extend([onnx.ValueInfoProto(name=name) for name in shown if name not in outputs])
    session = onnx_session(shown_model.SerializeToString(), 1, optimise=optimise)
    source = session.get_inputs()[0].name
    return lambda x: dict(zip(shown, session.run(shown, {source: np.ascontiguousarray(x)}), strict=True))


def openvino_probe(model: Any, names: Sequence[str], precision: Precision) -> Probe:
    """Open an OpenVINO model so that it gives the named tensors inside it; names that it does not have are left out.

    Args:
        model: an `openvino.Model` with one input.
        names: of tensors.
        precision: of the arithmetic.
    """
    shown_model = model.clone()
    wanted = set(names)
    shown: dict[str, Any] = {}
    for node in shown_model.get_ordered_ops():
        for output in node.outputs() if node.get_type_name() != "Result" else ():
            shown |= dict.fromkeys(output.get_names() & wanted, output)
    already = {name for output in shown_model.outputs for name in output.get_names()}
    shown_model.add_outputs([output for name, output in shown.items() if name not in already])
    compiled = compile_openvino(shown_model, 1, precision)

    def probe(x: Array) -> dict[str, Array]:
        results = compiled([np.ascontiguousarray(x)])
        return {name: np.array(results[name]) for name in shown}

    return probe
