"""Padding as TensorFlow's SAME: as little as a strided convolution needs to reach every pixel, more of it behind."""

from torch import Tensor, nn
from torch.nn import functional as F


class SamePadding(nn.Module):
    """Zeros around a map so that a convolution over it gives ⌈H / stride⌉ × ⌈W / stride⌉ places.

    How many depends on the size: a 3×3 kernel of stride 2 gets none before and one behind a map of even side, and one
    on either side of an odd one. torch's own padding is equal on both sides, which moves every place by a pixel.
    """

    def __init__(self, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H + rows, W + columns)."""
        rows, columns = (self._missing(side) for side in x.shape[-2:])
        return F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))

    def extra_repr(self) -> str:
        """Show both numbers where the module is printed."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}"

    def _missing(self, side: int) -> int:
        places = (side + self.stride - 1) // self.stride
        return max((places - 1) * self.stride + self.kernel_size - side, 0)
