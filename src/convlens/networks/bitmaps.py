"""The codes of LeNet-5's output: 7×12 drawings of the digits (LeCun et al., 1998, section II-B and figure 3)."""

import torch
from torch import Tensor

from convlens.errors import ConvlensError

_DIGITS = """
.#####. ..###.. .#####. .#####. .....#. #######
##...## .####.. ##...## ##...## ....##. ##.....
##...## ...##.. .....## .....## ...###. ##.....
##...## ...##.. .....## .....## ..####. ##.....
##...## ...##.. ....##. ....##. .##.##. ######.
##...## ...##.. ...##.. ..####. ##..##. .....##
##...## ...##.. ..##... .....## ##..##. .....##
##...## ...##.. .##.... .....## ####### .....##
##...## ...##.. ##..... .....## ....##. .....##
##...## ...##.. ##..... ##...## ....##. ##...##
##...## ...##.. ##..... ##...## ....##. ##...##
.#####. .###### ####### .#####. ....##. .#####.

..####. ####### .#####. .#####.
.##.... ##...## ##...## ##...##
##..... .....## ##...## ##...##
##..... .....## ##...## ##...##
##..... ....##. ##...## ##...##
######. ....##. .#####. .######
##...## ...##.. ##...## .....##
##...## ...##.. ##...## .....##
##...## ..##... ##...## .....##
##...## ..##... ##...## .....##
##...## .##.... ##...## ....##.
.#####. .##.... .#####. .####..
"""

HEIGHT, WIDTH = 12, 7
MOST_CLASSES = 10_000


def codes(classes: int) -> Tensor:
    """Return (classes, 84) of ±1: the ten digits first, then random codes, always the same ones.

    >>> codes(10).shape
    torch.Size([10, 84])
    """
    if classes > MOST_CLASSES:
        raise ConvlensError(f"classes={classes} is more than the 84 units of F6 can tell apart; use another network")
    drawn = torch.tensor(_read_drawings(), dtype=torch.float32, device="cpu")
    generator = torch.Generator().manual_seed(1998)
    extra = torch.randint(0, 2, (max(0, classes - len(drawn)), HEIGHT * WIDTH), generator=generator, device="cpu")
    table = torch.cat([drawn, extra * 2.0 - 1.0])[:classes]
    return table.to(torch.get_default_device())


def _read_drawings() -> list[list[float]]:
    drawings: list[list[float]] = []
    for band in _DIGITS.strip("\n").split("\n\n"):
        rows = [line.split(" ") for line in band.splitlines()]
        for digit in zip(*rows, strict=True):
            drawings.append([1.0 if pixel == "#" else -1.0 for row in digit for pixel in row])
    return drawings
