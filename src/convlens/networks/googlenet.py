"""GoogLeNet (Szegedy et al., Going deeper with convolutions, 2014, arXiv:1409.4842, table 1).

`googlenet_2014` is the paper's network; `googlenet` is the one that published weights fit: batch norm after every
convolution, no local response normalisation, and 3×3 where the paper has 5×5.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convlens.images import Preprocessing
from convlens.networks.families import Family, Request
from convlens.networks.inception import AuxiliaryHead, Inception, InceptionWidths, convolution, initialise
from convlens.networks.outputs import WithAuxiliary
from convlens.networks.size_checks import check_smallest

# Table 1: #1×1, #3×3 reduce, #3×3, #5×5 reduce, #5×5, pool proj
TABLE_1 = {
    "3a": InceptionWidths(64, 96, 128, 16, 32, 32),
    "3b": InceptionWidths(128, 128, 192, 32, 96, 64),
    "4a": InceptionWidths(192, 96, 208, 16, 48, 64),
    "4b": InceptionWidths(160, 112, 224, 24, 64, 64),
    "4c": InceptionWidths(128, 128, 256, 24, 64, 64),
    "4d": InceptionWidths(112, 144, 288, 32, 64, 64),
    "4e": InceptionWidths(256, 160, 320, 32, 128, 128),
    "5a": InceptionWidths(256, 160, 320, 32, 128, 128),
    "5b": InceptionWidths(384, 192, 384, 48, 128, 128),
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the two networks differ in.

    Attributes:
        batch_norm: after every convolution; otherwise local response normalisation around conv2 and conv3.
        largest_kernel: of the third branch of every Inception module.
        dropout: of the classifier.
        auxiliary_weight: how much the loss of an auxiliary head counts (section 5).
    """

    batch_norm: bool
    largest_kernel: int
    dropout: float
    auxiliary_weight: float = 0.3


PAPER_2014 = Plan(batch_norm=False, largest_kernel=5, dropout=0.4)
BATCH_NORM = Plan(batch_norm=True, largest_kernel=3, dropout=0.2)

# Sides below which a pooling has nothing left: of the network, and of its auxiliary heads (a 5×5 map at (4a)).
SMALLEST, SMALLEST_WITH_HEADS = (15, 15), (79, 79)


def response_normalisation() -> nn.LocalResponseNorm:
    """As in AlexNet, whose constants the paper does not change; torch divides alpha by the 5 channels."""
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)


class GoogLeNet(nn.Module):
    """Stem, nine Inception modules, average over the map, classes; two more heads on (4a) and (4d) if `auxiliary`.

    In training mode a network with heads returns `WithAuxiliary`. Weights start as He et al. (2015, arXiv:1502.01852)
    propose (the paper does not say); biases at zero. `input_scale` and `input_shift` (x·scale + shift, one and zero
    here) are set by published weights that were trained on images from -1 to 1.
    """

    input_scale: Tensor
    input_shift: Tensor

    def __init__(
        self,
        *,
        plan: Plan = BATCH_NORM,
        table: Mapping[str, InceptionWidths] = TABLE_1,
        stem: tuple[int, int] = (64, 192),
        auxiliary: bool = False,
        classes: int = 1000,
        channels: int = 3,
        dropout: float | None = None,
    ) -> None:
        super().__init__()
        self.auxiliary_weight = plan.auxiliary_weight
        self.register_buffer("input_scale", torch.ones(channels, 1, 1))
        self.register_buffer("input_shift", torch.zeros(channels, 1, 1))
        bn = plan.batch_norm
        self.conv1 = convolution(channels, stem[0], 7, stride=2, batch_norm=bn)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.norm1 = nn.Identity() if bn else response_normalisation()
        self.conv2 = convolution(stem[0], stem[0], 1, batch_norm=bn)
        self.conv3 = convolution(stem[0], stem[1], 3, batch_norm=bn)
        self.norm2 = nn.Identity() if bn else response_normalisation()
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        before = dict(zip(table, (stem[1], *(row.total for row in table.values())), strict=False))

        def inception(name: str) -> Inception:
            return Inception(before[name], table[name], largest_kernel=plan.largest_kernel, batch_norm=bn)

        self.inception3a, self.inception3b = inception("3a"), inception("3b")
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a, self.inception4b, self.inception4c = inception("4a"), inception("4b"), inception("4c")
        self.inception4d, self.inception4e = inception("4d"), inception("4e")
        self.maxpool4 = nn.MaxPool2d(2 if bn else 3, stride=2, ceil_mode=True)
        self.inception5a, self.inception5b = inception("5a"), inception("5b")
        self.aux1 = AuxiliaryHead(before["4b"], classes, batch_norm=bn) if auxiliary else None
        self.aux2 = AuxiliaryHead(before["4e"], classes, batch_norm=bn) if auxiliary else None
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(plan.dropout if dropout is None else dropout)
        self.fc = nn.Linear(table["5b"].total, classes)
        initialise(self)

    def forward(self, x_NCHW: Tensor) -> Tensor | WithAuxiliary:
        """Map images (N, channels, H, W) to scores (N, classes)."""
        heads = self.training and self.aux1 is not None
        check_smallest(x_NCHW, SMALLEST_WITH_HEADS if heads else SMALLEST)
        x = x_NCHW * self.input_scale + self.input_shift
        x = self.norm1(self.maxpool1(self.conv1(x)))
        x = self.maxpool2(self.norm2(self.conv3(self.conv2(x))))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        x4a = self.inception4a(x)
        x4d = self.inception4d(self.inception4c(self.inception4b(x4a)))
        x = self.maxpool4(self.inception4e(x4d))
        x = self.inception5b(self.inception5a(x))
        scores: Tensor = self.fc(self.dropout(self.flatten(self.avgpool(x))))
        if self.training and self.aux1 is not None and self.aux2 is not None:
            return WithAuxiliary(scores, (self.aux1(x4a), self.aux2(x4d)), self.auxiliary_weight)
        return scores


def _torchvision(network: nn.Module) -> Mapping[str, str]:  # noqa: ARG001
    names = {"fc": "fc"}
    for block in ("conv1", "conv2", "conv3", "aux1.conv", "aux2.conv"):
        names |= {f"{block}.{part}": f"{block}.{part}" for part in ("conv", "bn")}
    names |= {f"{head}.{layer}": f"{head}.{layer}" for head in ("aux1", "aux2") for layer in ("fc1", "fc2")}
    branches = {
        "branch1": "one",
        "branch2.0": "reduce3",
        "branch2.1": "three",
        "branch3.0": "reduce5",
        "branch3.1": "five",
        "branch4.1": "project",
    }
    for module in TABLE_1:
        for theirs, ours in branches.items():
            names |= {
                f"inception{module}.{theirs}.{part}": f"inception{module}.{ours}.{part}" for part in ("conv", "bn")
            }
    return names


def _prepare(network: nn.Module, preprocessing: Preprocessing) -> None:
    """The published weights were trained on images from -1 to 1: bring those of `preprocessing` there.

    (p - mean) / std · 2 std + 2 mean - 1 = 2 p - 1, for one channel with the means of the three.
    """
    assert isinstance(network, GoogLeNet)
    mean, std = (torch.tensor(values).reshape(-1, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    if len(network.input_scale) != len(mean):
        mean, std = mean.mean(), std.mean()
    network.input_scale.copy_((2 * std).expand_as(network.input_scale))
    network.input_shift.copy_((2 * mean - 1).expand_as(network.input_shift))


def _googlenet_2014(asked: Request) -> nn.Module:
    return GoogLeNet(
        plan=PAPER_2014, auxiliary=True, classes=asked.classes, channels=asked.channels, dropout=asked.dropout
    )


def _googlenet(asked: Request) -> nn.Module:
    return GoogLeNet(plan=BATCH_NORM, classes=asked.classes, channels=asked.channels, dropout=asked.dropout)


FAMILY = Family(
    networks={"googlenet_2014": _googlenet_2014, "googlenet": _googlenet},
    first="conv1.conv",
    heads=("fc", "aux1.fc2", "aux2.fc2"),
    layouts={"torchvision": _torchvision},
    optional=("aux1.", "aux2.", "input_scale", "input_shift"),
    prepare=_prepare,
)
