"""How a training computes, where that touches results: written into the run, and restored when it is resumed."""

import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import nn

from convlens.training.speed.depthwise import fast_depthwise
from convlens.training.speed.detours import direct_averages, direct_shortcuts, silus_out_of_place
from convlens.training.speed.narrow_maps import narrow_maps_in_float32
from convlens.training.speed.recomputation import recomputing

Chosen = Literal["float32", "bfloat16", "float16"]
Layout = Literal["channels_last", "contiguous"]
Compiled = Literal["none", "default", "reduce-overhead"]
Depthwise = Literal["torch", "convlens.training.speed.depthwise"]
Average = Literal["torch", "convlens.training.speed.detours"]

OWN_DEPTHWISE: Depthwise = "convlens.training.speed.depthwise"
OWN_AVERAGE: Average = "convlens.training.speed.detours"


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """How a training computes, and how that was found.

    Attributes:
        device: where.
        threads: that compute; sums of floats depend on how they are divided.
        precision: of convolutions and products.
        memory_format: of images and weights.
        depthwise: where the gradients of depthwise convolutions come from.
        average: where the gradients of averages over the whole map come from.
        compile: the mode of `torch.compile`; `reduce-overhead` records CUDA graphs.
        parts: in which a batch is computed at first.
        features: what the body is computed in while it stays as it is.
        milliseconds: what a step took in each candidate that was timed.
        skipped: candidates that were not, each with the reason.
    """

    device: str
    threads: int
    precision: Chosen
    memory_format: Layout = "channels_last"
    depthwise: Depthwise = "torch"
    average: Average = "torch"
    compile: Compiled = "none"
    parts: int = 1
    features: Chosen = "float32"
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Give the numerics as plain values."""
        return asdict(self)

    @property
    def title(self) -> str:
        """What a candidate is called.

        >>> Numerics(device="cpu", threads=2, precision="float32", compile="default").title
        'float32, 2 threads, compiled'
        """
        words: list[str] = [self.precision]
        if self.device == "cpu":
            words.append(f"{self.threads} thread{'s' if self.threads > 1 else ''}")
        if self.memory_format != "channels_last":
            words.append(self.memory_format)
        if self.depthwise != "torch":
            words.append("own depthwise gradients")
        if self.compile != "none":
            words.append("compiled" if self.compile == "default" else f"compiled ({self.compile})")
        return ", ".join(words)


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 itself, rather than by converting.

    oneDNN also offers bfloat16 to processors that have AVX-512 and no instruction for it, and converts there.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    has: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    if has.get("architecture") == "x86_64" and not (has.get("avx512_bf16") or has.get("amx_bf16")):
        return False
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return device.type == "cpu" and supported is not None and bool(supported())


def lacks_to_compile(device: torch.device) -> str | None:
    """What `torch.compile` would need on a device and does not find; None if nothing is missing."""
    if device.type == "cuda":
        return None if find_spec("triton") else "Triton is not installed"
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    return None if shutil.which(compiler) else f"there is no C++ compiler ({compiler})"


def prepare_device(device: torch.device) -> None:
    """Switch on what makes a GPU fast: TF32 products, and cuDNN's search for its best algorithm."""
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True


def lay_out(network: nn.Module, memory_format: Layout) -> None:
    """Let the weights of a network lie in memory as they are computed with."""
    network.to(memory_format=getattr(torch, layout_name(memory_format)))  # type: ignore[call-overload]


def layout_name(memory_format: Layout) -> str:
    """What torch calls it."""
    return "channels_last" if memory_format == "channels_last" else "contiguous_format"


@contextmanager
def threads_of(threads: int) -> Iterator[None]:
    """Compute with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def shaped(network: nn.Module, numerics: Numerics, *, recompute: bool) -> Iterator[None]:
    """Let a network compute as the numerics say, and put back all but its layout.

    It is the network's own call that is compiled, so its state dict and its copies know nothing of it.
    """
    lay_out(network, numerics.memory_format)
    with ExitStack() as stack:
        if numerics.depthwise != "torch":
            stack.enter_context(fast_depthwise(network))
        if numerics.precision == "bfloat16" and numerics.device == "cpu":
            stack.enter_context(narrow_maps_in_float32(network))
        if recompute:
            stack.enter_context(recomputing(network))
        if numerics.average != "torch":
            stack.enter_context(direct_averages(network))
        if numerics.compile == "none":
            stack.enter_context(silus_out_of_place(network))
            stack.enter_context(direct_shortcuts(network))
        else:
            stack.enter_context(_compiled(network, numerics.compile))
        yield


@contextmanager
def computing(network: nn.Module, numerics: Numerics, *, recompute: bool) -> Iterator[None]:
    """Let a network compute as the numerics say, with as many threads as they say."""
    with threads_of(numerics.threads), shaped(network, numerics, recompute=recompute):
        yield


@contextmanager
def uncompiled(network: nn.Module) -> Iterator[None]:
    """Let a network compute without its compiled call for a while."""
    compiled = network._compiled_call_impl
    network._compiled_call_impl = None
    try:
        yield
    finally:
        network._compiled_call_impl = compiled


@contextmanager
def _compiled(network: nn.Module, mode: Compiled) -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own, when it imports its compiler
        network.compile(mode=mode, dynamic=False)
    try:
        yield
    finally:
        network._compiled_call_impl = None
