"""Residual networks for 32×32 images (He et al., Deep residual learning for image recognition, 2015, section 4.2)."""

import torch.nn.functional as F
from torch import Tensor, nn

from convlens.networks.families import Builder, Family, Request


class CifarBlock(nn.Module):
    """Two 3×3 convolutions with a shortcut that has no parameters (section 3.3, option A).

    Where the shape changes, every second pixel is taken and the new channels are filled with zeros.
    """

    def __init__(self, *, channels: int, width: int, stride: int = 1, skip: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.skip, self.stride, self.added = skip, stride, width - channels

    def forward(self, x: Tensor) -> Tensor:
        """Return ReLU(F(x) + x), or ReLU(F(x)) in a plain network."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.skip:
            y = y + self.shortcut(x)
        return self.relu(y)  # type: ignore[no-any-return]

    def shortcut(self, x: Tensor) -> Tensor:
        """Return x in the shape of F(x)."""
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, 0, self.added)) if self.added else x


class CifarResNet(nn.Module):
    """One convolution, three stages of n blocks with 16, 32 and 64 filters, average, classes: 6n + 2 layers.

    `skip=False` gives the plain network of the same depth. Convolutions start as He et al. (2015, arXiv:1502.01852)
    propose, fan out; batch norms start at one in both, as in the paper, so that the two start alike.
    """

    def __init__(
        self,
        *,
        blocks: int,
        widths: tuple[int, int, int] = (16, 32, 64),
        skip: bool = True,
        classes: int = 10,
        channels: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _stage(widths[0], widths[0], blocks, stride=1, skip=skip)
        self.layer2 = _stage(widths[0], widths[1], blocks, stride=2, skip=skip)
        self.layer3 = _stage(widths[1], widths[2], blocks, stride=2, skip=skip)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(widths[2], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Map images (N, channels, H, W) to scores (N, classes)."""
        x = self.relu(self.bn1(self.conv1(x_NCHW)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(self.dropout(self.flatten(self.avgpool(x))))  # type: ignore[no-any-return]


def _stage(channels: int, width: int, blocks: int, *, stride: int, skip: bool) -> nn.Sequential:
    first = CifarBlock(channels=channels, width=width, stride=stride, skip=skip)
    return nn.Sequential(first, *(CifarBlock(channels=width, width=width, skip=skip) for _ in range(blocks - 1)))


def _builder(blocks: int) -> Builder:
    def build(asked: Request) -> nn.Module:
        return CifarResNet(blocks=blocks, classes=asked.classes, channels=asked.channels, dropout=asked.dropout or 0.0)

    return build


FAMILY = Family(
    networks={
        "resnet20": _builder(3),
        "resnet32": _builder(5),
        "resnet44": _builder(7),
        "resnet56": _builder(9),
        "resnet110": _builder(18),
    },
    first="conv1",
    heads=("fc",),
)
