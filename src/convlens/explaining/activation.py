"""Class activation maps: the channels of one layer, weighed by what they mean for a class, and added up.

A_CHW are the layer's activations, g_CHW the gradients of the class's score with respect to them.
"""

import torch
from torch import nn

from convlens.graph import Graph, execute, operations_between, resume

Map = torch.Tensor  # (h, w), of the layer's height and width


def activation_and_gradient(
    network: nn.Module, graph: Graph, tensor: int, x_1CHW: torch.Tensor, target: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Activations of one tensor of the graph and the gradient of a class's score, both (C, h, w).

    The network itself runs up to that tensor, unchanged and without gradients; from there its operations are called
    again on a copy. So no hook is needed, parameters get no gradients, and activations that work in place do no harm.
    """
    _, elsewhere = operations_between(graph, [tensor], graph.outputs[0])
    values = execute(network, graph, x_1CHW, {tensor, *elsewhere})
    leaf = values[tensor].requires_grad_()
    with torch.enable_grad():
        scores = resume(graph, values | {tensor: leaf.clone()}, graph.outputs[0])
        (gradient,) = torch.autograd.grad(scores[0, target], leaf)
    return leaf.detach()[0], gradient[0]


def gradcam(a_CHW: torch.Tensor, g_CHW: torch.Tensor) -> Map:
    """Grad-CAM (Selvaraju et al. 2017, equations 1, 2): channels weighed by their mean gradient, what is positive."""
    weights_C = g_CHW.mean(dim=(1, 2))
    return torch.relu(torch.einsum("c,chw->hw", weights_C, a_CHW))


def gradcam_plus_plus(a_CHW: torch.Tensor, g_CHW: torch.Tensor) -> Map:
    """Grad-CAM++ (Chattopadhay et al. 2018, equations 10 and 19): every place of a channel has a weight of its own."""
    square, cube = g_CHW**2, g_CHW**3
    below = 2 * square + a_CHW.sum(dim=(1, 2), keepdim=True) * cube
    alpha_CHW = torch.where(below != 0, square / torch.where(below != 0, below, 1.0), 0.0)
    weights_C = (alpha_CHW * torch.relu(g_CHW)).sum(dim=(1, 2))
    return torch.relu(torch.einsum("c,chw->hw", weights_C, a_CHW))


def eigencam(a_CHW: torch.Tensor) -> Map:
    """Eigen-CAM (Muhammad and Yeasin 2020, section III): the first principal component, whatever the class."""
    channels, height, width = a_CHW.shape
    flat = a_CHW.reshape(channels, height * width).T
    _, _, components = torch.linalg.svd(flat, full_matrices=False)
    projection = (flat @ components[0]).reshape(height, width)
    sign = torch.sign(
        torch.sum(projection * a_CHW.mean(dim=0))
    )  # a component has no sign; take that of the activations
    return torch.relu(projection * (sign if sign != 0 else 1.0))
