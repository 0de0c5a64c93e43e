"""A faster gradient of depthwise convolutions in bfloat16 on processors.

oneDNN has no fast bfloat16 kernel for two gradients that EfficientNet (Tan and Le 2019) is full of, and falls back to a
plain loop that is 10 to 100 times slower: that of the input where the stride is above 1, and that of 5×5 weights. Both
can be computed by fast kernels:

- the gradient of the input is a convolution, with the kernel turned around, of the output's gradient with zeros put
  between its entries (Dumoulin and Visin 2016, section 4.5);
- the gradient of a 5×5 kernel is put together from those of four 3×3 kernels on shifted inputs, since every weight
  meets the image on its own.

Sums are taken in another order than by torch, so the results agree up to bfloat16's rounding; `run.yaml` says so.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from convlens.training.speed.recasting import recast

_BLOCK = 3  # the kernel whose weight gradient is fast


class FastDepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution whose bfloat16 gradients take the fast way; the same module in all else."""

    def _conv_forward(self, x_NCHW: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        half = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
        if not (half and torch.is_grad_enabled() and x_NCHW.device.type == "cpu"):
            plain: Tensor = super()._conv_forward(x_NCHW, weight, bias)
            return plain
        with torch.autocast("cpu", enabled=False):
            y = _DepthwiseConvolution.apply(
                x_NCHW.bfloat16(),
                weight.bfloat16(),
                self.stride,
                self.padding,  # type: ignore[no-untyped-call]
            )
            answer: Tensor = y if bias is None else y + bias.bfloat16()[:, None, None]
        return answer


@contextmanager
def fast_depthwise(network: nn.Module) -> Iterator[int]:
    """Let the depthwise convolutions of a network take the fast way, yield how many gain by it, and put them back."""
    gaining = [module for module in network.modules() if _gains(module)]
    with recast(gaining, lambda _: FastDepthwiseConv2d) as count:
        yield count


def depthwise_gradients(
    x_NCHW: Tensor, weight: Tensor, gradient_NCHW: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """The gradients of input and weight of a depthwise convolution, the fast way.

    Args:
        x_NCHW: the input.
        weight: (C, 1, k, k).
        gradient_NCHW: of the output.
        stride: of the convolution.
        padding: of the convolution, less than k.
    """
    gradient = gradient_NCHW.contiguous(memory_format=torch.channels_last)
    return _of_input(x_NCHW, weight, gradient, stride, padding), _of_weight(x_NCHW, weight, gradient, stride, padding)


class _DepthwiseConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding, 1, weight.shape[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        return (*depthwise_gradients(x, weight, gradient, ctx.stride, ctx.padding), None, None)


def _gains(module: nn.Module) -> bool:
    """Whether a module is a depthwise convolution with a gradient that oneDNN is slow at."""
    if type(module) is not nn.Conv2d or module.groups == 1 or module.padding_mode != "zeros":
        return False
    if module.dilation != (1, 1) or isinstance(module.padding, str):
        return False
    depthwise = module.groups == module.in_channels == module.out_channels
    kernel, stride = module.kernel_size, module.stride
    inside = all(padding < side for padding, side in zip(module.padding, kernel, strict=True))
    return depthwise and inside and kernel in ((3, 3), (5, 5)) and (kernel == (5, 5) or stride != (1, 1))


def _of_input(x: Tensor, weight: Tensor, gradient: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
    channels, kernel = weight.shape[0], weight.shape[2]
    if stride != (1, 1):
        rows, columns = (side + 2 * p - kernel + 1 for side, p in zip(x.shape[2:], padding, strict=True))
        spread = gradient.new_zeros((len(x), rows, columns, channels)).permute(0, 3, 1, 2)
        spread[:, :, :: stride[0], :: stride[1]] = gradient
        gradient = spread
    turned = (kernel - 1 - padding[0], kernel - 1 - padding[1])
    return F.conv2d(gradient, weight.flip(2, 3), None, 1, turned, 1, channels)


def _of_weight(
    x: Tensor, weight: Tensor, gradient: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    kernel = weight.shape[2]
    if kernel == _BLOCK:
        return _native(x, weight, gradient, stride, padding)
    padded = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    rows, columns = ((side - 1) * s + _BLOCK for side, s in zip(gradient.shape[2:], stride, strict=True))
    block = weight.new_empty((len(weight), 1, _BLOCK, _BLOCK))
    whole = torch.empty_like(weight)
    for top in (0, kernel - _BLOCK):
        for left in (0, kernel - _BLOCK):
            shifted = padded[:, :, top : top + rows, left : left + columns]
            part = _native(shifted, block, gradient, stride, (0, 0))
            whole[:, :, top : top + _BLOCK, left : left + _BLOCK] = part
    return whole


def _native(x: Tensor, weight: Tensor, gradient: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
    found: Tensor = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, stride, padding, (1, 1), False, (0, 0), len(weight), (False, True, False)
    )[1]
    return found
