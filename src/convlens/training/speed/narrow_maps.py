"""Convolutions that step over the whole width of their map, whose bfloat16 gradient oneDNN leaves unwritten.

On processors, oneDNN 3.12 does not write those bfloat16 gradients of a kernel that no column of the map ever meets:
with a map of 1 column and a stride of 2, all but the middle ones. What the memory held before is taken for them, which
may be NaN. ResNet-18 at 16 pixels has such layers. They are so small that float32, where the fault is not, costs
nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from convlens.training.speed.recasting import recast


@contextmanager
def narrow_maps_in_float32(network: nn.Module) -> Iterator[int]:
    """Let convolutions compute in float32 where a map is narrower than their stride; yield how many might."""
    strided = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.stride[-1] > 1 and m.kernel_size[-1] > 1]
    with recast(strided, _careful) as count:
        yield count


def _careful(own: type[nn.Module]) -> type[nn.Module]:
    return cast("type[nn.Module]", type(own.__name__, (_Careful, own), {"__module__": own.__module__}))


class _Careful(nn.Conv2d):
    def _conv_forward(self, x_NCHW: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if x_NCHW.shape[-1] >= self.stride[-1]:
            usual: Tensor = super()._conv_forward(x_NCHW, weight, bias)
            return usual
        with torch.autocast(x_NCHW.device.type, enabled=False):
            bias = None if bias is None else bias.float()
            exact: Tensor = nn.Conv2d._conv_forward(self, x_NCHW.float(), weight.float(), bias)
        return exact
