"""What a runtime is asked to compute: one `Work` for each kernel call of a forward pass. Nothing here needs torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

FLOAT = 4  # bytes of a float32


@dataclass(frozen=True, kw_only=True)
class Work:
    """One kernel call in float32, by what its time depends on; equal ones take equal time.

    Attributes:
        family: the kind of kernel: one regression each; see `WEIGHTED` for those with weights.
        kind: within the family, such as "relu" or "max".
        batch: images.
        channels: that come in and go out.
        before, after: (height, width) of the maps that come in and go out.
        kernel, stride: (height, width).
        groups: of a convolution.
        in_place: whether an activation writes over its input.
    """

    family: str
    kind: str = ""
    batch: int = 1
    channels: tuple[int, int]
    before: tuple[int, int] = (1, 1)
    after: tuple[int, int] = (1, 1)
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    groups: int = 1
    in_place: bool = False

    @property
    def macs(self) -> int:
        """Multiply-adds of a convolution or a matrix product, else 0."""
        if self.family not in WEIGHTED:
            return 0
        return self.batch * prod(self.after) * self.weights

    @property
    def weights(self) -> int:
        """Elements of the weights, else 0."""
        if self.family not in WEIGHTED:
            return 0
        return prod(self.channels) // self.groups * prod(self.kernel)

    @property
    def read(self) -> int:
        """Elements of the maps that are read, without weights."""
        return self.batch * self.channels[0] * prod(self.before)

    @property
    def written(self) -> int:
        """Elements that are written."""
        return self.batch * self.channels[1] * prod(self.after)

    @property
    def nbytes(self) -> int:
        """Bytes that are read and written at least once, weights included."""
        more = self.written if self.kind == "same" else 0
        return FLOAT * (self.read + self.written + self.weights + more)


WEIGHTED = frozenset(["dense", "pointwise", "depthwise", "grouped", "linear"])


@dataclass(frozen=True, kw_only=True)
class Step:
    """One operation of a graph as work.

    Attributes:
        target: the operator, such as "aten.relu_".
        work: None where kernels of that kind are never measured.
        macs: by the anatomy, None without a formula.
    """

    target: str
    work: Work | None
    macs: int | None


def convolution_family(channels: int, width: int, kernel: Sequence[int], groups: int) -> str:
    """Which kernels a runtime has for it."""
    if groups == 1:
        return "pointwise" if prod(kernel) == 1 else "dense"
    return "depthwise" if groups == channels == width else "grouped"
