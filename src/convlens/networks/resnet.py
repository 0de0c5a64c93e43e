"""Residual networks for ImageNet (He et al., Deep residual learning for image recognition, 2015, table 1).

A block learns the difference to what came in: y = F(x) + x (equation 1). Where nothing better is found F can stay at
zero, and the gradient passes the addition unchanged, so a hundred layers can be trained.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from convlens.networks.families import Family, Request
from convlens.networks.scaling import Scale, round_depth, round_width


class BasicBlock(nn.Module):
    """Two 3×3 convolutions (figure 5, left)."""

    expansion = 1

    def __init__(self, *, channels: int, width: int, stride: int = 1, skip: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.skip = skip
        self.downsample = _projection(channels, width, stride) if skip else None

    def forward(self, x: Tensor) -> Tensor:
        """Return ReLU(F(x) + x), or ReLU(F(x)) in a plain network."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.skip:
            y = y + (x if self.downsample is None else self.downsample(x))
        return self.relu(y)  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """1×1 to fewer channels, 3×3 there, 1×1 back to four times as many (figure 5, right).

    `stride_in` says which convolution halves the map: the first 1×1 in the paper, the 3×3 in the networks that weights
    are published for, which loses no pixel.
    """

    expansion = 4

    def __init__(self, *, channels: int, width: int, stride: int = 1, stride_in: Literal["1x1", "3x3"] = "3x3") -> None:
        super().__init__()
        first, second = (stride, 1) if stride_in == "1x1" else (1, stride)
        self.conv1 = nn.Conv2d(channels, width, 1, stride=first, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _projection(channels, width * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return ReLU(F(x) + x)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))  # type: ignore[no-any-return]


def _projection(channels: int, width: int, stride: int) -> nn.Sequential | None:
    """Return the 1×1 projection where the shape changes (section 3.3, option B), None where x passes as it is."""
    if stride == 1 and channels == width:
        return None
    return nn.Sequential(nn.Conv2d(channels, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width))


WIDTHS = (64, 128, 256, 512)  # table 1, of conv2_x to conv5_x
Kind = Literal["basic", "plain", "bottleneck", "bottleneck_v1"]


def _block(kind: Kind, channels: int, width: int, stride: int) -> BasicBlock | Bottleneck:
    if kind in ("basic", "plain"):
        return BasicBlock(channels=channels, width=width, stride=stride, skip=kind == "basic")
    stride_in: Literal["1x1", "3x3"] = "1x1" if kind == "bottleneck_v1" else "3x3"
    return Bottleneck(channels=channels, width=width, stride=stride, stride_in=stride_in)


class ResNet(nn.Module):
    """Stem, four stages, average over the map, classes.

    Convolutions start as He et al. (2015, arXiv:1502.01852) propose, fan out; the last batch norm of every residual
    block starts at zero, so that every block starts as the identity (Goyal et al., 2017, section 5.1).
    """

    def __init__(
        self,
        *,
        kind: Kind = "basic",
        depths: tuple[int, int, int, int],
        widths: tuple[int, int, int, int] = WIDTHS,
        classes: int = 1000,
        channels: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        expansion = 4 if kind.startswith("bottleneck") else 1
        outs = [width * expansion for width in widths]
        self.conv1 = nn.Conv2d(channels, widths[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(kind, widths[0], widths[0], depths[0], stride=1)
        self.layer2 = _stage(kind, outs[0], widths[1], depths[1], stride=2)
        self.layer3 = _stage(kind, outs[1], widths[2], depths[2], stride=2)
        self.layer4 = _stage(kind, outs[2], widths[3], depths[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(outs[3], classes)
        initialise(self)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Map images (N, channels, H, W) to scores (N, classes)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x_NCHW))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.dropout(self.flatten(self.avgpool(x))))  # type: ignore[no-any-return]


def _stage(kind: Kind, channels: int, width: int, depth: int, *, stride: int) -> nn.Sequential:
    first = _block(kind, channels, width, stride)
    return nn.Sequential(first, *(_block(kind, width * first.expansion, width, 1) for _ in range(depth - 1)))


def initialise(network: nn.Module) -> None:
    """Start convolutions as He et al. propose, and residual blocks as the identity."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    for module in network.modules():
        if isinstance(module, Bottleneck):
            nn.init.zeros_(module.bn3.weight)
        elif isinstance(module, BasicBlock) and module.skip:
            nn.init.zeros_(module.bn2.weight)


@dataclass(frozen=True, kw_only=True)
class Size:
    """One column of table 1: the kind of block, and how many of them in conv2_x … conv5_x."""

    kind: Kind
    depths: tuple[int, int, int, int]

    def __call__(self, asked: Request) -> nn.Module:
        """Build the network of this column."""
        return ResNet(
            kind=self.kind,
            depths=self.depths,
            classes=asked.classes,
            channels=asked.channels,
            dropout=asked.dropout or 0.0,
        )


def scale_resnet(base: str, scale: Scale, asked: Request) -> ResNet:
    """A network of table 1 with `scale.depth` times the blocks and `scale.width` times the channels of each stage."""
    size = FAMILY.networks[base]
    assert isinstance(size, Size)
    one, two, three, four = (round_depth(depth, scale.depth) for depth in size.depths)
    narrow, *_ = widths = [round_width(width, scale.width) for width in WIDTHS]
    return ResNet(
        kind=size.kind,
        depths=(one, two, three, four),
        widths=(narrow, widths[1], widths[2], widths[3]),
        classes=asked.classes,
        channels=asked.channels,
        dropout=asked.dropout or 0.0,
    )


FAMILY = Family(
    networks={
        "resnet18": Size(kind="basic", depths=(2, 2, 2, 2)),
        "resnet34": Size(kind="basic", depths=(3, 4, 6, 3)),
        "resnet50": Size(kind="bottleneck", depths=(3, 4, 6, 3)),
        "resnet101": Size(kind="bottleneck", depths=(3, 4, 23, 3)),
        "resnet152": Size(kind="bottleneck", depths=(3, 8, 36, 3)),
        "resnet50_v1": Size(kind="bottleneck_v1", depths=(3, 4, 6, 3)),
        "resnet101_v1": Size(kind="bottleneck_v1", depths=(3, 4, 23, 3)),
        "resnet152_v1": Size(kind="bottleneck_v1", depths=(3, 8, 36, 3)),
        "plain18": Size(kind="plain", depths=(2, 2, 2, 2)),
        "plain34": Size(kind="plain", depths=(3, 4, 6, 3)),
    },
    first="conv1",
    heads=("fc",),
)
