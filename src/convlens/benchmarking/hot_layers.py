"""Which layers cost most, as each runtime's own profiler tells it."""

import json
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convlens.artifacts import openvino_graph
from convlens.artifacts.artifact_formats import format_of
from convlens.artifacts.onnx_graph import modules_of
from convlens.artifacts.openvino_graph import PLACE
from convlens.benchmarking.variants import Variant
from convlens.predicting.engines import TorchEngine, compile_openvino, onnx_session

if TYPE_CHECKING:
    from torch import nn

_RUNS = 5
# what ONNX Runtime adds to the names of nodes and values when it fuses them
_WEIGHTED = ("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "QLinearConv", "QGemm")
_OURS = re.compile(r"_(nchwc|token_\d+)$")

Milliseconds = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class HotLayer:
    """An operation, the time that it takes, and its share of the whole.

    Args:
        layer: the module of the network, or the runtime's own name where it fused several.
        milliseconds: a call.
        share: of the time of all operations.
    """

    layer: str
    milliseconds: float
    share: float


def can_profile(variant: Variant) -> bool:
    """Whether its runtime tells how long each operation takes."""
    return variant.predictor.runtime in _PROFILERS


def hot_layers(variant: Variant, batch: int, top: int = 5) -> list[HotLayer]:
    """The `top` costliest operations of a variant, costliest first.

    A profiler slows what it watches, so shares are to be trusted more than times.
    """
    preprocessing = variant.predictor.preprocessing
    shape = (batch, preprocessing.channels, *preprocessing.size)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    taken = _PROFILERS[variant.predictor.runtime](variant, x)
    total = sum(taken.values()) or 1.0
    costliest = sorted(taken.items(), key=lambda entry: -entry[1])[:top]
    return [HotLayer(layer=name, milliseconds=spent, share=spent / total) for name, spent in costliest]


def _profile_torch(variant: Variant, x: NDArray[np.float32]) -> Milliseconds:
    engine = variant.predictor.engine
    assert isinstance(engine, TorchEngine)
    taken: Milliseconds = defaultdict(float)
    engine(x)
    with _timed_leaves(engine.module, taken):
        for _ in range(_RUNS):
            engine(x)
    return {name: spent / _RUNS for name, spent in taken.items()}


@contextmanager
def _timed_leaves(module: "nn.Module", taken: Milliseconds) -> Iterator[None]:
    started: dict[str, float] = {}

    def begin(name: str) -> Callable[..., None]:
        return lambda *_: started.__setitem__(name, time.perf_counter())

    def end(name: str) -> Callable[..., None]:
        return lambda *_: taken.__setitem__(name, taken[name] + 1000 * (time.perf_counter() - started[name]))

    leaves = {name: part for name, part in module.named_modules() if not list(part.children())}
    handles = [part.register_forward_pre_hook(begin(name.removeprefix("network."))) for name, part in leaves.items()]
    handles += [part.register_forward_hook(end(name.removeprefix("network."))) for name, part in leaves.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _profile_onnxruntime(variant: Variant, x: NDArray[np.float32]) -> Milliseconds:
    model, _ = format_of(variant.path).open().read(variant.path)
    with tempfile.TemporaryDirectory() as folder:
        prefix = str(Path(folder) / "profile")
        session = onnx_session(model.SerializeToString(), variant.predictor.threads, profile=prefix)
        for _ in range(_RUNS + 1):
            session.run(None, {session.get_inputs()[0].name: x})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    places, makers = modules_of(model), _makers(model)
    spent: Milliseconds = defaultdict(float)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name = _OURS.sub("", event["name"].removesuffix("_kernel_time"))
            if event["args"].get("op_name") in _WEIGHTED:
                name = makers.get(name, name)
            spent[places.get(name, name)] += event["dur"] / 1000 / (_RUNS + 1)
    return spent


def _profile_openvino(variant: Variant, x: NDArray[np.float32]) -> Milliseconds:
    row = format_of(variant.path)
    model, manifest = row.open().read(variant.path)
    precision = manifest.precision
    if row.name == "onnx":
        model = openvino_graph.from_onnx(model)
    compiled = compile_openvino(model, variant.predictor.threads, precision, profile=True)
    request = compiled.create_infer_request()
    spent: Milliseconds = defaultdict(float)
    request.infer([x])
    for _ in range(_RUNS):
        request.infer([x])
        for entry in request.profiling_info:
            milliseconds = entry.real_time.total_seconds() * 1000
            if milliseconds:
                spent[entry.node_name.partition(PLACE)[0]] += milliseconds / _RUNS
    return spent


def _makers(model: Any) -> dict[str, str]:
    """Node or value -> the convolution or product in front of it: fusions are named by the activation they end in."""
    by_value = {value: node for node in model.graph.node for value in node.output}
    makers: dict[str, str] = {}
    for node in model.graph.node:
        source = node
        while source is not None and source.op_type not in _WEIGHTED:
            source = by_value.get(source.input[0]) if source.input else None
        if source is not None:
            makers |= dict.fromkeys((node.name, *node.output), source.name)
    return makers


_PROFILERS: dict[str, Callable[[Variant, NDArray[np.float32]], Milliseconds]] = {
    "torch": _profile_torch,
    "onnxruntime": _profile_onnxruntime,
    "openvino": _profile_openvino,
}
