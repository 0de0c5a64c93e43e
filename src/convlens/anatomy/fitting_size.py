"""The smallest image that a network accepts, found by trying."""

from time import monotonic
from typing import TYPE_CHECKING

from torch import nn

from convlens.graph import Failure, Graph, record
from convlens.graph.structure import refs

if TYPE_CHECKING:
    from convlens.anatomy.anatomy import Anatomy

_LARGEST = 1024
_SECONDS = 4.0
_TOO_SMALL = ("kernel size can't be greater", "output size is too small", "should be greater than zero", "too small")


def smallest_fitting(sheet: "Anatomy") -> tuple[int, ...] | None:
    """The smallest square image size (C, H, W) on which the forward pass succeeds; None if there is none to be found.

    Only for a network with one image as its input, and only where the failure says whether the image was too small or
    too large: a Linear layer that got fewer or more features than it has, a window larger than the map.
    """
    if len(sheet.inputs) != 1 or len(sheet.input_shapes) != 1 or len(sheet.input_shapes[0]) != 4:
        return None
    batch, channels, height, width = sheet.input_shapes[0]
    if height != width or not _verdict(sheet.module, sheet.graph):
        return None
    start = monotonic()
    low, high = 1, _LARGEST
    while low < high:
        middle = (low + high) // 2
        verdict = _verdict(sheet.module, record(sheet.module, (batch, channels, middle, middle)))
        if verdict is None or monotonic() - start > _SECONDS:
            return None
        low, high = (middle + 1, high) if verdict < 0 else (low, middle)
    fits = record(sheet.module, (batch, channels, low, low)).failure is None
    return (channels, low, low) if fits else None


def _verdict(module: nn.Module, graph: Graph) -> int | None:
    """-1: the image was too small, 1: too large, 0: it fits, None: the failure does not say."""
    failure = graph.failure
    if failure is None:
        return 0
    layer = module.get_submodule(failure.module)
    if isinstance(layer, nn.Linear):
        return _by_features(layer, graph, failure)
    return -1 if any(words in str(failure.error).lower() for words in _TOO_SMALL) else None


def _by_features(layer: nn.Linear, graph: Graph, failure: Failure) -> int | None:
    if failure.call is None:
        return None
    given = [graph.tensors[index].shape for index in refs(graph.calls[failure.call].arguments)]
    if not given or len(given[0]) != 2 or given[0][-1] == layer.in_features:
        return None
    return -1 if given[0][-1] < layer.in_features else 1
