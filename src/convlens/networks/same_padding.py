"""Padding as TensorFlow's SAME: as little as a strided window needs to reach every pixel, more of it behind."""

from torch import Tensor, nn
from torch.nn import functional as F


class SamePadding(nn.Module):
    """A border around a map so that a window over it has ⌈H / stride⌉ × ⌈W / stride⌉ places.

    How much depends on the size: a 3×3 window of stride 2 gets nothing before and one pixel behind a map of even side,
    and one on either side of an odd one. torch's own padding is equal on both sides, which moves every place.
    `value` is zero for convolutions, and -inf for a maximum, which then never takes the border.
    """

    def __init__(self, kernel_size: int | tuple[int, int], stride: int | tuple[int, int], value: float = 0.0) -> None:
        super().__init__()
        self.kernel_size = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        self.stride = (stride, stride) if isinstance(stride, int) else stride
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H + rows, W + columns)."""
        rows, columns = (missing(*one) for one in zip(x.shape[-2:], self.kernel_size, self.stride, strict=True))
        return F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2), value=self.value)

    def extra_repr(self) -> str:
        """Show the window where the module is printed."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, value={self.value:g}"


def missing(side: int, kernel_size: int, stride: int) -> int:
    """How many pixels one axis lacks for the window to have ⌈side / stride⌉ places.

    >>> missing(224, 3, 2), missing(225, 3, 2)
    (1, 2)
    """
    places = (side + stride - 1) // stride
    return max((places - 1) * stride + kernel_size - side, 0)
