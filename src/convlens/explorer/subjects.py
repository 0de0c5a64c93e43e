"""The networks that the pages can look at: the catalogue's, blocks of the papers, and what the command opened."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from convlens import networks
from convlens.anatomy import inspect
from convlens.classifiers import Classifier
from convlens.errors import ConvlensError, unknown_name
from convlens.explorer.onnx_file import OnnxFile
from convlens.explorer.shipped import build_shipped, shipped, size_of
from convlens.networks.inception import Inception, InceptionNaive, InceptionWidths

if TYPE_CHECKING:
    from torch import nn

    from convlens.anatomy import Anatomy

MOST_SHEETS = 24
LARGEST_SIDE = 1024

Size = tuple[int, int, int]  # (C, H, W)


def _inception_naive() -> "nn.Module":
    return InceptionNaive(192, one=64, three=128, five=32)


def _inception_reduced() -> "nn.Module":
    return Inception(192, InceptionWidths(64, 96, 128, 16, 32, 32))


# name -> (how to make it, its usual input); Szegedy 2014, table 1, module (3a): naive, and with reductions
BLOCKS: dict[str, tuple[Callable[[], "nn.Module"], Size]] = {
    "inception_naive": (_inception_naive, (192, 28, 28)),
    "inception_reduced": (_inception_reduced, (192, 28, 28)),
}


class Subjects:
    """Anatomies by name and input size; made on the meta device, so that nothing is computed or initialised."""

    def __init__(self, opened: Classifier | None = None, file: OnnxFile | None = None) -> None:
        self._opened = opened
        self._file = file
        self._lock = threading.Lock()
        self._sheets: OrderedDict[tuple[str, Size], Anatomy] = OrderedDict()

    def names(self) -> list[str]:
        """What the command opened, then blocks, then the catalogue."""
        own = [each.name for each in (self._file, self._opened) if each is not None]
        return [*own, *shipped(), *BLOCKS, *networks.names()]

    def file(self, name: str) -> OnnxFile | None:
        """The ONNX file of that name, which has a drawing and no anatomy; None for all else."""
        return self._file if self._file is not None and name == self._file.name else None

    def usual_size(self, name: str) -> Size:
        """Channels, height and width of the images that a network is meant for.

        Raises:
            ConvlensError: no network is called that.
        """
        if self._opened and name == self._opened.name:
            return self._opened.image_shape
        if self.file(name) is not None:
            raise ConvlensError(f"{name} is an ONNX file: page 7 draws it; here, choose a network that PyTorch runs")
        if name in BLOCKS:
            return BLOCKS[name][1]
        if name in shipped():
            return size_of(name)
        if not networks.is_name(name):
            raise unknown_name("network", name, self.names())
        card = networks.card(name)
        return card.channels, *card.input_size

    def anatomy(self, name: str, side: int | None = None) -> "Anatomy":
        """Read the anatomy of a network for its usual input, or for a square one.

        Raises:
            ConvlensError: no network is called that, or it cannot take such an image.
        """
        size = self._size(name, side)
        with self._lock:
            if (name, size) not in self._sheets:
                self._sheets[name, size] = self._inspect(name, size)
                while len(self._sheets) > MOST_SHEETS:
                    self._sheets.popitem(last=False)
            self._sheets.move_to_end((name, size))
            return self._sheets[name, size]

    def warm_up(self) -> None:
        """Look at a small network, so that the first large one need not wait for what torch loads on first use."""
        self.anatomy("lenet5")

    def _size(self, name: str, side: int | None) -> Size:
        channels, height, width = self.usual_size(name)
        if side is None:
            return channels, height, width
        if not 1 <= side <= LARGEST_SIDE:
            raise ConvlensError(f"an image side of {side} pixels is not drawn; use 1 to {LARGEST_SIDE}")
        return channels, side, side

    def _inspect(self, name: str, size: Size) -> "Anatomy":
        if self._opened and name == self._opened.name:
            with self._opened.lock:
                return inspect(self._opened.structure().eval(), size)
        with networks.outlined():
            if name in BLOCKS:
                network = BLOCKS[name][0]()
            elif name in shipped():
                network = build_shipped(name)
            else:
                networks.check_size(name, size[1:])
                network = networks.create(name, channels=size[0], size=size[1:])
        return inspect(network.eval(), size)
