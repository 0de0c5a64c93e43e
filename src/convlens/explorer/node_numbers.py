"""Numbers of the parts of a network that its graph does not hold: times, gradients, receptive fields, weights."""

import time
from collections.abc import Callable, Iterable, Mapping
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from convlens.anatomy import Anatomy
from convlens.engine import compile
from convlens.engine.table import measured
from convlens.errors import ConvlensError
from convlens.explorer.folding import Node
from convlens.explorer.inside import Patient

REPEATS = 3
BINS = 32
MOST_WEIGHTS = 40  # parameters of a part that are listed


def seconds(patient: Patient) -> dict[str, float]:
    """How long each module takes on this machine, with all inside it: the median of a few runs of one noise image."""
    spent: dict[str, list[float]] = {}
    begun: dict[str, float] = {}

    def before(name: str) -> Callable[..., None]:
        return lambda *_: begun.__setitem__(name, time.perf_counter())

    def after(name: str) -> Callable[..., None]:
        return lambda *_: spent.setdefault(name, []).append(time.perf_counter() - begun[name])

    network = patient.network
    with patient.lock, torch.inference_mode():
        handles = []
        for name, module in network.named_modules():
            handles += [module.register_forward_pre_hook(before(name)), module.register_forward_hook(after(name))]
        try:
            x = _noise(patient)
            network(x)  # the first run makes plans and memory ready
            spent.clear()
            for _ in range(REPEATS):
                network(x)
        finally:
            for handle in handles:
                handle.remove()
    calls = {name: len(times) // REPEATS for name, times in spent.items()}
    return {name: median(times) * calls[name] for name, times in spent.items()}


def planned(patient: Patient, sheet: Anatomy, nodes: Iterable[Node]) -> dict[str, float]:
    """Seconds of each part on the engine's kernels, by the steps of its plan, measured here for one image.

    The time of a step that does several operations is shared among them by their MACs.

    Raises:
        ConvlensError: the kernels are not installed, or the plan has none for an operator of this network.
    """
    with patient.lock:
        steps = measured(compile(patient.network, patient.size, tune=False), REPEATS)
    macs = {row.name: float(row.macs or 0) for row in sheet.rows}
    spent: dict[str, float] = {}
    for step in steps:
        names = [name for name in step["names"] if name in macs]
        parts = [macs[name] for name in names]
        whole = sum(parts)
        for name, part in zip(names, parts, strict=True):
            spent[name] = spent.get(name, 0) + step["microseconds"] / 1e6 * (part / whole if whole else 1 / len(names))
    operations = sheet.graph.operations
    return {node.id: sum(spent.get(operations[index].name, 0.0) for index in node.operations) for node in nodes}


def gradients(patient: Patient) -> dict[str, float]:
    """The norm of the gradient at each module's output, of the likeliest class's score on a noise image."""
    outputs: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, output: Any) -> None:
            if isinstance(output, torch.Tensor) and output.requires_grad:
                output.retain_grad()
                outputs[name] = output

        return hook

    with patient.lock, torch.enable_grad():
        handles = [module.register_forward_hook(keep(name)) for name, module in patient.network.named_modules()]
        try:
            scores = patient.network(_noise(patient))
            scores.max().backward()
        finally:
            for handle in handles:
                handle.remove()
            patient.network.zero_grad()
    return {name: float(each.grad.norm()) for name, each in outputs.items() if each.grad is not None}


def fields(sheet: Anatomy, places: list[str]) -> dict[str, float]:
    """Side of the receptive field of some layers, in pixels of an image without borders; only where it is known."""
    found = {}
    for place in places:
        size = sheet.receptive_field(place.partition("#")[0]).local.size
        if size is not None:
            found[place] = float(size[0])
    return found


def weights(patient: Patient, path: str) -> list[dict[str, Any]]:
    """Of each parameter of a module: shape, range, mean, deviation, share of zeros, and a histogram of 32 bins.

    Raises:
        ConvlensError: the network has no such module.
    """
    try:
        module = patient.network.get_submodule(path)
    except AttributeError:
        raise ConvlensError(f"{patient.name} has no module {path!r}") from None
    with patient.lock:
        return [_described(name, each.detach()) for name, each in list(module.named_parameters())[:MOST_WEIGHTS]]


def described(values: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """The same of arrays by name."""
    return [_described(name, torch.from_numpy(each.astype(np.float64))) for name, each in values.items()][:MOST_WEIGHTS]


def _described(name: str, values: torch.Tensor) -> dict[str, Any]:
    flat = values.flatten().double()
    low, high = float(flat.min()), float(flat.max())
    return {
        "name": name,
        "shape": list(values.shape),
        "min": low,
        "max": high,
        "mean": float(flat.mean()),
        "deviation": float(flat.std(correction=0)),
        "zeros": float((flat == 0).double().mean()),
        "histogram": torch.histc(flat, BINS, low, high).int().tolist() if high > low else [],
    }


def _noise(patient: Patient) -> torch.Tensor:
    return torch.randn(1, *patient.size, generator=torch.Generator().manual_seed(0))
