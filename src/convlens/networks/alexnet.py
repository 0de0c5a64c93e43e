"""AlexNet: the paper's network on two groups, and the one-group network that published weights fit.

Krizhevsky, Sutskever, Hinton, ImageNet classification with deep convolutional neural networks, 2012, figure 2;
Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014, arXiv:1404.5997, footnote 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from convlens.networks.families import Builder, Family, Request
from convlens.networks.size_checks import check_smallest


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the two networks differ in.

    Attributes:
        widths: filters of conv1 … conv5.
        groups: of conv2, conv4 and conv5; 2 where the paper splits the filters over two GPUs (section 3.5).
        padding: of conv1.
        normalise: whether conv1 and conv2 are followed by local response normalisation (section 3.3).
        smallest: side of the smallest image that leaves one pixel after the last pooling.
    """

    widths: tuple[int, int, int, int, int]
    groups: int
    padding: int
    normalise: bool
    smallest: int


PAPER_2012 = Plan(widths=(96, 256, 384, 384, 256), groups=2, padding=0, normalise=True, smallest=67)
ONE_WEIRD_TRICK = Plan(widths=(64, 192, 384, 256, 256), groups=1, padding=2, normalise=False, smallest=63)


class AlexNet(nn.Module):
    """Five convolutions with ReLU, three overlapping max pools (3×3, stride 2), three linear layers with dropout.

    The paper's plan starts from N(0, 0.01²), with biases of one in conv2, conv4, conv5, fc6 and fc7 and zero elsewhere
    (section 5); the other plan, which has no normalisation, from He et al. (2015, arXiv:1502.01852) with biases of
    zero.
    """

    def __init__(
        self,
        *,
        plan: Plan = ONE_WEIRD_TRICK,
        classes: int = 1000,
        channels: int = 3,
        hidden: int = 4096,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.smallest_size = (plan.smallest, plan.smallest)
        w1, w2, w3, w4, w5 = plan.widths
        self.conv1 = nn.Conv2d(channels, w1, 11, stride=4, padding=plan.padding)
        self.norm1 = _response_normalisation() if plan.normalise else nn.Identity()
        self.conv2 = nn.Conv2d(w1, w2, 5, padding=2, groups=plan.groups)
        self.norm2 = _response_normalisation() if plan.normalise else nn.Identity()
        self.conv3 = nn.Conv2d(w2, w3, 3, padding=1)
        self.conv4 = nn.Conv2d(w3, w4, 3, padding=1, groups=plan.groups)
        self.conv5 = nn.Conv2d(w4, w5, 3, padding=1, groups=plan.groups)
        self.relu = nn.ReLU(inplace=True)
        self.pool1, self.pool2, self.pool5 = (nn.MaxPool2d(3, stride=2) for _ in range(3))
        self.avgpool = nn.AdaptiveAvgPool2d(6)  # does nothing to the paper's 6×6 map; lets other sizes in
        self.flatten = nn.Flatten()
        self.dropout6, self.dropout7 = nn.Dropout(dropout), nn.Dropout(dropout)
        self.fc6 = nn.Linear(w5 * 6 * 6, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.fc8 = nn.Linear(hidden, classes)
        _start_as_in_2012(self) if plan.normalise else _start_as_he(self)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Map images (N, channels, H, W) to scores (N, classes)."""
        check_smallest(x_NCHW, self.smallest_size)
        x = self.pool1(self.norm1(self.relu(self.conv1(x_NCHW))))
        x = self.pool2(self.norm2(self.relu(self.conv2(x))))
        x = self.relu(self.conv3(x))
        x = self.relu(self.conv4(x))
        x = self.pool5(self.relu(self.conv5(x)))
        x = self.dropout6(self.flatten(self.avgpool(x)))
        x = self.dropout7(self.relu(self.fc6(x)))
        scores: Tensor = self.fc8(self.relu(self.fc7(x)))
        return scores


def _response_normalisation() -> nn.LocalResponseNorm:
    """Section 3.3: k = 2, n = 5, α = 1e-4, β = 0.75; torch divides alpha by n, the paper does not."""
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)


def _start_as_in_2012(network: AlexNet) -> None:
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.normal_(module.weight, std=0.01)
            nn.init.constant_(module.bias, 1.0 if name in {"conv2", "conv4", "conv5", "fc6", "fc7"} else 0.0)


def _start_as_he(network: AlexNet) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)


def _torchvision(network: nn.Module) -> Mapping[str, str]:  # noqa: ARG001
    convolutions = {f"features.{index}": f"conv{n}" for n, index in enumerate((0, 3, 6, 8, 10), start=1)}
    return convolutions | {"classifier.1": "fc6", "classifier.4": "fc7", "classifier.6": "fc8"}


def _builder(plan: Plan) -> Builder:
    def build(asked: Request) -> nn.Module:
        dropout = 0.5 if asked.dropout is None else asked.dropout
        return AlexNet(plan=plan, classes=asked.classes, channels=asked.channels, dropout=dropout)

    return build


FAMILY = Family(
    networks={"alexnet_2012": _builder(PAPER_2012), "alexnet": _builder(ONE_WEIRD_TRICK)},
    first="conv1",
    heads=("fc8",),
    layouts={"torchvision": _torchvision},
)
