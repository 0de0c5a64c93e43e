"""What computes: one class a runtime, each a function from preprocessed images to probabilities.

x_NCHW is float32, contiguous; the answer is float32 (N, K). Engines may be called from several threads.
"""

import threading
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from convlens.predicting.openvino_core import openvino_core
from convlens.predicting.tensor_names import OUTPUT
from convlens.predicting.untracked import untracked

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]
Precision = Literal["float32", "bfloat16", "int8"]


class Engine(Protocol):
    """A network on a runtime."""

    def __call__(self, x: Array, /) -> NDArray[np.float32]:
        """Probabilities (N, K)."""
        ...


class TorchEngine:
    """A module from preprocessed images to probabilities, on PyTorch.

    Args:
        module: on `device`, in evaluation mode, softmax included.
        threads: how many PyTorch may use; its setting belongs to the whole process.
        device: where the module is.
    """

    def __init__(self, module: "torch.nn.Module", threads: int, device: "torch.device | str" = "cpu") -> None:
        self.module = module
        self.threads = threads
        self.device = device

    def __call__(self, x: Array, /) -> NDArray[np.float32]:
        """Probabilities (N, K)."""
        import torch

        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        with torch.inference_mode():
            images = torch.from_numpy(np.ascontiguousarray(x)).to(self.device)
            scores = self.module(images.contiguous(memory_format=torch.channels_last))
            answer: NDArray[np.float32] = scores.float().cpu().numpy()
        return answer


class KernelsEngine:
    """A program of convlens-kernels, from preprocessed images to scores; the softmax is done here.

    Args:
        program: a `convlens_kernels.Program`.
    """

    def __init__(self, program: Any) -> None:
        self.program = program

    def __call__(self, x: Array, /) -> NDArray[np.float32]:
        """Probabilities (N, K)."""
        scores = self.program.run(np.ascontiguousarray(x)).astype(np.float64)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        answer: NDArray[np.float32] = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
        return answer


class OnnxRuntimeEngine:
    """An ONNX graph on ONNX Runtime's CPU kernels.

    Args:
        content: the serialised graph, with one input and one output.
        threads: within one call.
    """

    def __init__(self, content: bytes, threads: int) -> None:
        self.session = onnx_session(content, threads)
        self.input = self.session.get_inputs()[0].name

    def __call__(self, x: Array, /) -> NDArray[np.float32]:
        """Probabilities (N, K)."""
        answer: NDArray[np.float32] = self.session.run([OUTPUT], {self.input: np.ascontiguousarray(x)})[0]
        return answer


class OpenVinoEngine:
    """A model on OpenVINO's CPU plugin.

    Args:
        model: an `openvino.Model` with one input and one output.
        threads: within one call.
        precision: of the arithmetic; bfloat16 falls back to float32 on processors without it.
    """

    def __init__(self, model: Any, threads: int, precision: Precision) -> None:
        self.compiled = compile_openvino(model, threads, precision)
        self._own = threading.local()  # a request serves one call at a time, so each thread has its own

    def __call__(self, x: Array, /) -> NDArray[np.float32]:
        """Probabilities (N, K)."""
        if not hasattr(self._own, "request"):
            self._own.request = self.compiled.create_infer_request()
        answer: NDArray[np.float32] = self._own.request.infer([np.ascontiguousarray(x)])[0].copy()
        return answer


def compile_openvino(model: Any, threads: int, precision: Precision, *, profile: bool = False) -> Any:
    """Compile for one caller at a time, with the arithmetic that was asked for and not what the plugin prefers."""
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
        "PERF_COUNT": profile,
    }
    return openvino_core().compile_model(model, "CPU", settings)


def onnx_session(content: bytes, threads: int, *, optimise: bool = True, profile: str = "") -> Any:
    """Open a session on the processor that says nothing below an error."""
    onnxruntime = untracked("onnxruntime")

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    if profile:  # the beginning of the file's name
        options.enable_profiling, options.profile_file_prefix = True, profile
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
