"""VGG (Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition, 2014, table 1).

Only 3×3 convolutions: two see as far as one of 5×5 and three as far as one of 7×7, with fewer weights and more ReLUs
between (section 2.3).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from convlens.networks.families import Family, Request
from convlens.networks.size_checks import check_smallest

STAGES = ("stage1", "stage2", "stage3", "stage4", "stage5")


class VGG(nn.Module):
    """Five stages of 3×3 convolutions, each ended by a 2×2 max pool, and three linear layers.

    Convolutions start as He et al. (2015, arXiv:1502.01852) propose, fan out, since the paper had to start its deeper
    networks from trained shallow ones (section 3.1); linear layers from N(0, 0.01²) as in the paper, biases at zero.
    """

    def __init__(
        self,
        *,
        depths: tuple[int, int, int, int, int],
        widths: tuple[int, int, int, int, int] = (64, 128, 256, 512, 512),
        batch_norm: bool = False,
        hidden: int = 4096,
        classes: int = 1000,
        channels: int = 3,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        for name, before, width, depth in zip(STAGES, (channels, *widths), widths, depths, strict=False):
            self.add_module(name, _stage(before, width, depth, batch_norm))
        self.avgpool = nn.AdaptiveAvgPool2d(7)  # does nothing to the 7×7 map of a 224×224 image; lets other sizes in
        self.flatten = nn.Flatten()
        self.fc6, self.relu6, self.dropout6 = nn.Linear(widths[-1] * 7 * 7, hidden), nn.ReLU(True), nn.Dropout(dropout)
        self.fc7, self.relu7, self.dropout7 = nn.Linear(hidden, hidden), nn.ReLU(True), nn.Dropout(dropout)
        self.fc8 = nn.Linear(hidden, classes)
        _initialise(self)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Map images (N, channels, H, W) to scores (N, classes)."""
        check_smallest(x_NCHW, (32, 32))
        x = x_NCHW
        for name in STAGES:
            x = self.get_submodule(name)(x)
        x = self.flatten(self.avgpool(x))
        x = self.dropout6(self.relu6(self.fc6(x)))
        x = self.dropout7(self.relu7(self.fc7(x)))
        scores: Tensor = self.fc8(x)
        return scores


def _stage(channels: int, width: int, depth: int, batch_norm: bool) -> nn.Sequential:
    stage = nn.Sequential()
    for number in range(1, depth + 1):
        stage.add_module(f"conv{number}", nn.Conv2d(channels if number == 1 else width, width, 3, padding=1))
        if batch_norm:
            stage.add_module(f"bn{number}", nn.BatchNorm2d(width))
        stage.add_module(f"relu{number}", nn.ReLU(inplace=True))
    stage.add_module("pool", nn.MaxPool2d(2, stride=2))
    return stage


def _initialise(network: VGG) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)


def _features(network: nn.Module) -> dict[str, str]:
    """torchvision and timm number the layers through all stages."""
    layers = [f"{stage}.{layer}" for stage in STAGES for layer, _ in network.get_submodule(stage).named_children()]
    return {f"features.{index}": layer for index, layer in enumerate(layers)}


def _torchvision(network: nn.Module) -> Mapping[str, str]:
    return _features(network) | {"classifier.0": "fc6", "classifier.3": "fc7", "classifier.6": "fc8"}


def _timm(network: nn.Module) -> Mapping[str, str]:
    return _features(network) | {"pre_logits.fc1": "fc6", "pre_logits.fc2": "fc7", "head.fc": "fc8"}


@dataclass(frozen=True, kw_only=True)
class Size:
    """One column of table 1: the convolutions of each stage."""

    depths: tuple[int, int, int, int, int]
    batch_norm: bool = False

    def __call__(self, asked: Request) -> nn.Module:
        """Build the network of this column."""
        return VGG(
            depths=self.depths,
            batch_norm=self.batch_norm,
            classes=asked.classes,
            channels=asked.channels,
            dropout=0.5 if asked.dropout is None else asked.dropout,
        )


# Table 1, columns A, B, D and E; the authors' networks have no batch norm, it was published a year later.
FAMILY = Family(
    networks={
        "vgg11": Size(depths=(1, 1, 2, 2, 2)),
        "vgg11_bn": Size(depths=(1, 1, 2, 2, 2), batch_norm=True),
        "vgg13": Size(depths=(2, 2, 2, 2, 2)),
        "vgg13_bn": Size(depths=(2, 2, 2, 2, 2), batch_norm=True),
        "vgg16": Size(depths=(2, 2, 3, 3, 3)),
        "vgg16_bn": Size(depths=(2, 2, 3, 3, 3), batch_norm=True),
        "vgg19": Size(depths=(2, 2, 4, 4, 4)),
        "vgg19_bn": Size(depths=(2, 2, 4, 4, 4), batch_norm=True),
    },
    first="stage1.conv1",
    heads=("fc8",),
    layouts={"torchvision": _torchvision, "timm": _timm},
)
