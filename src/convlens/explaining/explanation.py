"""One call for every method: a network, an image, and a map of what spoke for a class."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from convlens.errors import ConvlensError, unknown_name
from convlens.explaining.activation import activation_and_gradient, eigencam, gradcam, gradcam_plus_plus
from convlens.explaining.attribution import LARGEST_BATCH, integrated_gradients, occlusion
from convlens.explaining.target import layer_name, recorded, target_tensor
from convlens.graph import Graph

# method -> what its map says
METHODS = {
    "gradcam": "channels of the last layer with a height and a width, weighed by their mean gradient",
    "gradcam++": "the same with a weight for every place, better where a class is there several times",
    "eigencam": "first principal component of that layer, whatever the class",
    "occlusion": "fall of the probability when a square is covered; slow, and asks nothing of the network",
    "integrated-gradients": "pixels' shares of the score, along the way from a blank image",
}
_STEPS = 32


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What spoke for a class on one image.

    Attributes:
        method: one of `METHODS`.
        target: index of the class.
        layer: the module that was read; "" for methods that read none.
        raw: (h, w), the map in the method's own units and size.
        heat: (H, W), the map in the size of the network's input, 0..1; 0 everywhere if nothing spoke for the class.
    """

    method: str
    target: int
    layer: str
    raw: NDArray[np.float32]
    heat: NDArray[np.float32]


def explain(
    network: nn.Module,
    x_CHW: NDArray[np.float32] | torch.Tensor,
    *,
    method: str = "gradcam",
    target: int | None = None,
    layer: str | None = None,
    patch: int | None = None,
    graph: Graph | None = None,
) -> Explanation:
    """Explain a network's answer for one image.

    Args:
        network: any module from (N, C, H, W) to scores (N, K). It is used in evaluation mode, and afterwards as it was.
        x_CHW: the preprocessed image, float32 (C, H, W).
        method: one of `METHODS`.
        target: index of the class to explain; None takes the likeliest.
        layer: path of the module to read; None finds the last tensor with a height and a width. Only for the
            class activation methods.
        patch: side of the square that occlusion covers, in pixels, best about the size of what is looked for; None
            takes a quarter of the image.
        graph: of the network at the image's size, from `convlens.graph.record`, to save the time of recording it again.

    Raises:
        ConvlensError: no such method, class or layer, or the network has nothing that the method can read.

    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    >>> explain(network, np.ones((1, 8, 8), np.float32)).heat.shape
    (8, 8)
    """
    check_options(method, layer, patch)
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    x = torch.as_tensor(x_CHW, dtype=torch.float32, device=device)
    if x.ndim != 3:
        raise ConvlensError(f"explain takes one preprocessed image (C, H, W), not a tensor of shape {tuple(x.shape)}")
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        chosen = _choose(network, x, target)
        if method == "occlusion":
            batch = None if device.type == "cpu" else LARGEST_BATCH
            raw = occlude(lambda x: _probabilities(network, x, device), x, chosen, patch, batch)
            return _from_map(method, chosen, "", raw, x)
        if method == "integrated-gradients":
            shares = integrated_gradients(network, x, chosen, steps=_STEPS)
            return _from_map(method, chosen, "", shares.abs().sum(dim=0).cpu().numpy(), x)
        size = (int(x.shape[0]), int(x.shape[1]), int(x.shape[2]))
        return _from_activation(network, x, method, chosen, layer, graph or recorded(network, size))
    finally:
        for module in training:
            module.training = True


def check_options(method: str, layer: str | None, patch: int | None) -> None:
    """Check that there is such a method, and that it has a use for what was asked.

    Raises:
        ConvlensError: there is not, or it has not.
    """
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    if layer is not None and method in ("occlusion", "integrated-gradients"):
        raise ConvlensError(f"{method} reads no layer; leave the layer {layer!r} out")
    if patch is not None and method != "occlusion":
        raise ConvlensError(f"{method} covers nothing; leave the patch {patch} out")


def explain_by_occlusion(
    predictor: Any, x_CHW: NDArray[np.float32], target: int | None = None, patch: int | None = None
) -> Explanation:
    """Explain anything that has `probabilities`, such as an artifact, by covering squares; see `explain`."""
    probabilities = predictor.probabilities
    row = probabilities(x_CHW[None])[0]
    chosen = int(row.argmax()) if target is None else _checked(target, len(row))
    x = torch.from_numpy(x_CHW)
    batch = LARGEST_BATCH if torch.cuda.is_available() else None
    return _from_map("occlusion", chosen, "", occlude(probabilities, x, chosen, patch, batch), x)


def occlude(
    probabilities: Any, x: torch.Tensor, target: int, patch: int | None, batch: int | None = None
) -> NDArray[np.float32]:
    """Occlusion by squares that move by a third of their side, but not by less than a twelfth of the shorter side.

    On drawn images with a known object, maps correlate at 0.97 with those of squares that move pixel by pixel; if they
    move by half of their side, at 0.90, and the hottest place misses the object in four images of ten.
    """
    shorter = min(x.shape[1:])
    if patch is not None and not 1 <= patch <= shorter:
        raise ConvlensError(f"patch is {patch}; the image has sides of {x.shape[1]} and {x.shape[2]} pixels")
    side = patch or max(1, shorter // 4)
    stride = max(1, min(side, max(side // 3, shorter // 12)))
    return occlusion(probabilities, x.cpu().numpy(), target, patch=side, stride=stride, batch=batch)


def _from_activation(
    network: nn.Module, x: torch.Tensor, method: str, target: int, layer: str | None, graph: Graph
) -> Explanation:
    tensor = target_tensor(graph, layer)
    a_CHW, g_CHW = activation_and_gradient(network, graph, tensor, x[None], target)
    if method == "eigencam":
        raw = eigencam(a_CHW)
    else:
        raw = gradcam(a_CHW, g_CHW) if method == "gradcam" else gradcam_plus_plus(a_CHW, g_CHW)
    return _from_map(method, target, layer or layer_name(graph, tensor), raw.cpu().numpy(), x)


def _from_map(method: str, target: int, layer: str, raw: NDArray[np.float32], x: torch.Tensor) -> Explanation:
    height, width = (int(side) for side in x.shape[1:])
    heat = np.maximum(raw, 0).astype(np.float32)
    if heat.shape != (height, width):
        heat = np.asarray(Image.fromarray(heat).resize((width, height), Image.Resampling.BILINEAR))
    highest = float(heat.max())
    heat = heat / highest if highest > 0 else np.zeros_like(heat)
    return Explanation(method=method, target=target, layer=layer, raw=raw, heat=heat)


def _choose(network: nn.Module, x: torch.Tensor, target: int | None) -> int:
    with torch.no_grad():
        scores = network(x[None].clone())
    if not isinstance(scores, torch.Tensor) or scores.ndim != 2:
        raise ConvlensError("the network does not give scores (N, classes); wrap it so that it does")
    return int(scores[0].argmax()) if target is None else _checked(target, scores.shape[1])


def _checked(target: int, classes: int) -> int:
    if not 0 <= target < classes:
        raise ConvlensError(f"target is {target}; the network has classes 0 to {classes - 1}")
    return target


@torch.no_grad()
def _probabilities(network: nn.Module, x_NCHW: NDArray[np.float32], device: torch.device) -> NDArray[np.float32]:
    scores = network(torch.from_numpy(x_NCHW).to(device))
    answer: NDArray[np.float32] = torch.softmax(scores.float(), dim=1).cpu().numpy()
    return answer
