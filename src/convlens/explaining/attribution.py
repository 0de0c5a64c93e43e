"""Maps of the input itself from gradients on the way from a blank image."""

import numpy as np
import torch
from torch import nn


def integrated_gradients(network: nn.Module, x_CHW: torch.Tensor, target: int, *, steps: int) -> torch.Tensor:
    """Gradients of a class's score, averaged on the straight way from a blank image (Sundararajan et al. 2017, eq. 1).

    Args:
        network: from (N, C, H, W) to scores (N, K), in evaluation mode.
        x_CHW: the preprocessed image; the way begins at 0, the mean of the data.
        target: index of the class.
        steps: at how many places of the way; Gauss-Legendre places, so that few suffice.

    Returns:
        (C, H, W), whose sum is the score of the image minus that of the blank one.
    """
    places, weights = np.polynomial.legendre.leggauss(steps)
    total = torch.zeros_like(x_CHW)
    for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
        point = (x_CHW * float(place)).unsqueeze(0).requires_grad_()
        with torch.enable_grad():
            # a clone, since a network may write into what it is given
            (gradient,) = torch.autograd.grad(network(point.clone())[0, target], point)
        total += float(weight) * gradient[0]
    return total * x_CHW
