"""One call for every method: a network, an image, and a map of what spoke for a class."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from convlens.errors import ConvlensError
from convlens.explaining.activation import activation_and_gradient, eigencam, gradcam, gradcam_plus_plus
from convlens.explaining.attribution import integrated_gradients
from convlens.explaining.explanation import Explanation, check_options, check_target, from_map
from convlens.explaining.occlusion import LARGEST_BATCH, occlude
from convlens.explaining.target import layer_name, recorded, target_tensor
from convlens.graph import Graph

_STEPS = 32


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
    size = (int(x.shape[0]), int(x.shape[1]), int(x.shape[2]))
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        chosen = _choose(network, x, target)
        if method == "occlusion":
            batch = None if device.type == "cpu" else LARGEST_BATCH
            raw = occlude(lambda x: _probabilities(network, x, device), x.cpu().numpy(), chosen, patch, batch)
            return from_map(method, chosen, "", raw, (size[1], size[2]))
        if method == "integrated-gradients":
            shares = integrated_gradients(network, x, chosen, steps=_STEPS)
            return from_map(method, chosen, "", shares.abs().sum(dim=0).cpu().numpy(), (size[1], size[2]))
        return _from_activation(network, x, method, chosen, layer, graph or recorded(network, size))
    finally:
        for module in training:
            module.training = True


def _from_activation(
    network: nn.Module, x: torch.Tensor, method: str, target: int, layer: str | None, graph: Graph
) -> Explanation:
    tensor = target_tensor(graph, layer)
    a_CHW, g_CHW = activation_and_gradient(network, graph, tensor, x[None], target)
    if method == "eigencam":
        raw = eigencam(a_CHW)
    else:
        raw = gradcam(a_CHW, g_CHW) if method == "gradcam" else gradcam_plus_plus(a_CHW, g_CHW)
    return from_map(
        method, target, layer or layer_name(graph, tensor), raw.cpu().numpy(), (int(x.shape[1]), int(x.shape[2]))
    )


def _choose(network: nn.Module, x: torch.Tensor, target: int | None) -> int:
    with torch.no_grad():
        scores = network(x[None].clone())
    if not isinstance(scores, torch.Tensor) or scores.ndim != 2:
        raise ConvlensError("the network does not give scores (N, classes); wrap it so that it does")
    return int(scores[0].argmax()) if target is None else check_target(target, scores.shape[1])


@torch.no_grad()
def _probabilities(network: nn.Module, x_NCHW: NDArray[np.float32], device: torch.device) -> NDArray[np.float32]:
    scores = network(torch.from_numpy(x_NCHW).to(device))
    answer: NDArray[np.float32] = torch.softmax(scores.float(), dim=1).cpu().numpy()
    return answer
