"""A classifier becomes a network that classifies every place (Long et al., Fully convolutional networks, 2014, section
3.1).

A linear layer on a flattened map of C×h×w is a convolution whose kernel is as large as the map. As a convolution it
does not mind a larger map: it slides, and gives scores for every place.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, fx, nn

from convlens.errors import ConvlensError
from convlens.networks.rewriting import NotConvertibleError, rewrite, trace


def fully_convolutional(net: nn.Module, size: tuple[int, int] | None = None) -> nn.Module:
    """Turn the classifier of a network into convolutions, so that a larger image gives a map of class scores.

    Args:
        net: a network of the catalogue, or another whose head flattens once and goes on with linear layers.
        size: (height, width) of the images that it classifies; its `input_size` when None. A unit of the map sees a
            crop of this size; what was averaged over the whole map is averaged over what such a crop has. Only
            squeeze-and-excitation goes on to see the whole image.

    Returns:
        A copy in eval mode: (N, C, H, W) with H, W of at least `size` -> (N, classes, h, w). For an image of `size` the
        map is 1×1 and equals the scores of `net`; each unit equals them on its crop wherever zero padding does not
        reach.

    Raises:
        NotConvertibleError: no size is known, or the head cannot be expressed by convolutions.

    >>> from convlens import create
    >>> fully_convolutional(create("lenet5"))(torch.zeros(1, 1, 64, 48)).shape
    torch.Size([1, 10, 9, 5])
    """
    size = size or getattr(net, "input_size", None)
    name = type(net).__name__
    if size is None:
        raise NotConvertibleError(f"{name} does not say for which images it is; give size=(height, width)")
    original = copy.deepcopy(net).eval()
    x = _image(original, size)
    try:
        graph = trace(original, x)
    except ConvlensError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        raise NotConvertibleError(
            f"{name} cannot be written down as a graph ({reason}); its forward must not branch on values"
        ) from None
    rewrite(graph, name)
    _check_against(original, graph, x)
    return graph.eval()


def _image(network: nn.Module, size: tuple[int, int]) -> Tensor:
    """An image of noise with as many channels as the first layer takes."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            weight = module.weight
            channels = weight.shape[1]
            if isinstance(module, nn.Conv2d):
                channels *= module.groups
            else:
                channels //= size[0] * size[1]
            noise = torch.rand(1, max(1, channels), *size, generator=torch.Generator().manual_seed(0))
            return noise.to(device=weight.device, dtype=weight.dtype)
    raise NotConvertibleError(f"{type(network).__name__} has neither convolutions nor linear layers")


def _check_against(original: nn.Module, converted: fx.GraphModule, x: Tensor) -> None:
    """On an image of the original size the two must agree; whatever was not understood shows here."""
    name = type(original).__name__
    try:
        with torch.no_grad():
            expected, found = original(x), converted(x)
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        raise NotConvertibleError(f"the head of {name} cannot be expressed by convolutions ({reason})") from None
    same = found.shape == (*expected.shape, 1, 1)
    if not same or not torch.allclose(found.flatten(1), expected, atol=1e-3, rtol=1e-3):
        raise NotConvertibleError(f"the head of {name} cannot be expressed by convolutions: the scores would differ")
