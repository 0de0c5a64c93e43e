"""AmoebaNet-B and -D (Real et al., Regularized evolution for image classifier architecture search, 2018), as in GPipe.

Huang et al. (GPipe, 2018) made B of 18 cells and 512 filters, 557 million parameters, which the EfficientNet paper
compares B7 with. Layers, strides and padding as in the authors' published TensorFlow code (models/official/amoeba_net).
"""

from __future__ import annotations

from torch import Tensor, nn

from convlens.errors import ConvlensError
from convlens.networks.amoebanet_cells import EPS, NORMAL_B, NORMAL_D, REDUCTION_B, REDUCTION_D, Cell, CellPlan
from convlens.networks.families import Builder, Family, Request
from convlens.networks.outputs import WithAuxiliary
from convlens.networks.size_checks import check_smallest

STEM, SMALLEST = 32, (3, 3)
AUXILIARY_SCALE, AUXILIARY_WEIGHT = 0.4, 0.4


class AmoebaNet(nn.Module):
    """A strided stem, two reduction cells, `layers` normal cells with two more reduction cells between, classes.

    Every cell sees the output of the one before it and of the one before that. Widths double with each reduction, from
    a quarter of `filters` on. Weights start as He et al. (2015) propose, fan out.
    """

    def __init__(
        self,
        normal: CellPlan,
        reduction: CellPlan,
        *,
        layers: int,
        filters: int,
        classes: int = 1000,
        channels: int = 3,
        dropout: float = 0.5,
        auxiliary: tuple[int, int] | None = None,
    ) -> None:
        """Args are those of `amoebanet_b`; `auxiliary` is the size of the images for which the second head is made."""
        super().__init__()
        _check(layers, filters)
        self.stem = nn.Sequential()
        self.stem.add_module("conv", nn.Conv2d(channels, STEM, 3, stride=2, bias=False))
        self.stem.add_module("bn", nn.BatchNorm2d(STEM, eps=EPS))
        self.cells = nn.ModuleDict()
        self.head_after = f"normal{2 * layers // 3}"
        widths, shrunk = [STEM, STEM], False  # of the two outputs before; whether the last cell halved its map
        for name, plan, width in plan_of_cells(normal, reduction, layers, filters):
            strided = plan is reduction
            previous = widths[-2] if len(self.cells) else None
            cell = Cell(plan, channels=widths[-1], previous=previous, shrunk=shrunk, width=width, stride=1 + strided)
            self.cells[name] = cell
            if name == self.head_after and auxiliary is not None:
                self.auxiliary = AuxiliaryHead(cell.channels, _size_at_the_head(auxiliary), classes)
            widths, shrunk = [widths[-1], cell.channels], strided
        self.act = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(widths[-1], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, x_NCHW: Tensor) -> Tensor | WithAuxiliary:
        """Map images (N, channels, H, W) to scores (N, classes)."""
        check_smallest(x_NCHW, SMALLEST)
        x = self.stem(x_NCHW)
        previous, head = x, getattr(self, "auxiliary", None)
        second: Tensor | None = None
        for name, cell in self.cells.items():
            previous, x = x, cell(x, previous)
            if self.training and head is not None and name == self.head_after:
                second = head(x)
        scores: Tensor = self.classifier(self.dropout(self.flatten(self.avgpool(self.act(x)))))
        return scores if second is None else WithAuxiliary(scores, (second,), AUXILIARY_WEIGHT)


class AuxiliaryHead(nn.Module):
    """A classifier on the last cell before the second reduction; only for images of one size."""

    def __init__(self, channels: int, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        between, units = int(128 * AUXILIARY_SCALE), int(768 * AUXILIARY_SCALE)
        pooled = tuple((side - 5) // 3 + 1 for side in size)
        if min(pooled) < 1:
            raise ConvlensError(
                f"the auxiliary head needs maps of 5×5 or more, not {size[0]}×{size[1]}; enlarge the images"
            )
        self.act = nn.ReLU()
        self.avgpool = nn.AvgPool2d(5, stride=3)
        self.project = nn.Conv2d(channels, between, 1, bias=False)
        self.bn0 = nn.BatchNorm2d(between, eps=EPS)
        self.full = nn.Conv2d(between, units, (pooled[0], pooled[1]), bias=False)
        self.bn1 = nn.BatchNorm2d(units, eps=EPS)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(units, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to scores (N, classes)."""
        x = self.act(self.bn0(self.project(self.avgpool(self.act(x)))))
        return self.classifier(self.flatten(self.act(self.bn1(self.full(x)))))  # type: ignore[no-any-return]


def amoebanet_b(
    *,
    layers: int = 18,
    filters: int = 512,
    classes: int = 1000,
    channels: int = 3,
    dropout: float = 0.5,
    auxiliary: tuple[int, int] | None = None,
) -> AmoebaNet:
    """Build AmoebaNet-B of any size; the default is GPipe's, 557,277,864 parameters or 2.2 GB.

    Args:
        layers: normal cells; at least 3.
        filters: width of the first normal cells, a multiple of 4 from 16 on; it doubles twice.
        classes: outputs.
        channels: of the images.
        dropout: before the classifier.
        auxiliary: (height, width) of the images to train on, for the second head; None leaves it out.

    Raises:
        ConvlensError: `layers` or `filters` is out of range, or the images are too small for the second head.

    >>> sum(p.numel() for p in amoebanet_b(layers=3, filters=36).parameters())
    1151343
    """
    sizes = {"layers": layers, "filters": filters, "classes": classes, "channels": channels}
    return AmoebaNet(NORMAL_B, REDUCTION_B, **sizes, dropout=dropout, auxiliary=auxiliary)


def amoebanet_d(
    *,
    layers: int = 18,
    filters: int = 208,
    classes: int = 1000,
    channels: int = 3,
    dropout: float = 0.5,
    auxiliary: tuple[int, int] | None = None,
) -> AmoebaNet:
    """Build AmoebaNet-D, with which GPipe measures how large a network fits; the arguments are those of `amoebanet_b`.

    The default is the smallest of GPipe's table 1, 81 million parameters.
    """
    sizes = {"layers": layers, "filters": filters, "classes": classes, "channels": channels}
    return AmoebaNet(NORMAL_D, REDUCTION_D, **sizes, dropout=dropout, auxiliary=auxiliary)


def plan_of_cells(normal: CellPlan, reduction: CellPlan, layers: int, filters: int) -> list[tuple[str, CellPlan, int]]:
    """Name, plan and width of every cell, in order."""
    cells = [("reduction1", reduction, filters // 4), ("reduction2", reduction, filters // 2)]
    width = filters
    for number in range(layers):
        if number in (layers // 3, 2 * layers // 3):
            width *= 2
            cells.append((f"reduction{3 + (number > layers // 3)}", reduction, width))
        cells.append((f"normal{number + 1}", normal, width))
    return cells


def _size_at_the_head(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the map after the stem and three reductions."""
    height, width = ((side - 3) // 2 + 1 for side in size)
    return -(-height // 8), -(-width // 8)


def _check(layers: int, filters: int) -> None:
    if layers < 3:
        raise ConvlensError(f"layers={layers} must be at least 3, one normal cell for each width")
    if filters < 16 or filters % 4:
        raise ConvlensError(
            f"filters={filters} must be a multiple of 4 from 16 on; the first cells have a quarter of it"
        )


def _b(asked: Request) -> nn.Module:
    dropout = 0.5 if asked.dropout is None else asked.dropout
    return amoebanet_b(classes=asked.classes, channels=asked.channels, dropout=dropout)


def _d(asked: Request) -> nn.Module:
    dropout = 0.5 if asked.dropout is None else asked.dropout
    return amoebanet_d(classes=asked.classes, channels=asked.channels, dropout=dropout)


_BUILDERS: dict[str, Builder] = {"amoebanet_b": _b, "amoebanet_d": _d}
FAMILY = Family(networks=_BUILDERS, first="stem.conv", heads=("classifier",))
