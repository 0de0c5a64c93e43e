"""Residual networks (He et al., Deep residual learning for image recognition, 2015, arXiv:1512.03385, table 1).

A block learns the difference to what came in: y = F(x) + x (equation 1). Where nothing better is found F can stay at
zero, and the gradient passes the addition unchanged, so a hundred layers can be trained.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from convlens.networks.catalogue import Builder, Request


class BasicBlock(nn.Module):
    """Two 3×3 convolutions (figure 5, left)."""

    expansion = 1

    def __init__(self, *, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return F(x) + x, after the last ReLU."""
        residual = self.relu(self.bn1(self.conv1(x)))
        residual = self.bn2(self.conv2(residual))
        y: Tensor = self.relu(residual + (x if self.downsample is None else self.downsample(x)))
        return y


def shortcut(channels: int, width: int, stride: int) -> nn.Sequential | None:
    """Return the 1×1 projection where the shape changes (option B of section 4.1), None where x passes as it is."""
    if stride == 1 and channels == width:
        return None
    return nn.Sequential(nn.Conv2d(channels, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width))


class ResNet(nn.Module):
    """The residual networks for ImageNet: stem, four stages, average, classes.

    Convolutions start as He et al. (2015, arXiv:1502.01852) propose, fan out; the last batch norm of every block starts
    at zero, so that every block starts as the identity (Goyal et al., 2017, section 5.1).
    """

    def __init__(
        self, *, depths: tuple[int, int, int, int], classes: int = 1000, channels: int = 3, dropout: float = 0.0
    ):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = _stage(64, 64, depths[0], 1)
        self.layer2 = _stage(64, 128, depths[1], 2)
        self.layer3 = _stage(128, 256, depths[2], 2)
        self.layer4 = _stage(256, 512, depths[3], 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(512, classes)
        _initialise(self)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Map images (N, channels, H, W) to scores (N, classes)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x_NCHW))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        scores: Tensor = self.fc(self.dropout(self.flatten(self.avgpool(x))))
        return scores


def _stage(channels: int, width: int, depth: int, stride: int) -> nn.Sequential:
    blocks = [BasicBlock(channels=channels, width=width, stride=stride)]
    blocks += [BasicBlock(channels=width, width=width) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    for module in network.modules():
        if isinstance(module, BasicBlock):
            nn.init.zeros_(module.bn2.weight)


@dataclass(frozen=True, kw_only=True)
class Size:
    """One column of table 1: the blocks in conv2_x … conv5_x."""

    depths: tuple[int, int, int, int]

    def __call__(self, asked: Request) -> nn.Module:
        """Build the network of this column."""
        return ResNet(depths=self.depths, classes=asked.classes, channels=asked.channels, dropout=asked.dropout or 0.0)


NETWORKS: dict[str, Builder] = {"resnet18": Size(depths=(2, 2, 2, 2))}
