"""LeNet-5 as it is drawn today (after LeCun et al., Gradient-based learning …, 1998, figure 2)."""

from torch import Tensor, nn

from convlens.networks.families import Family, Request
from convlens.networks.size_checks import check_exact


class LeNet5(nn.Module):
    """LeNet-5 with what replaced its parts: full connections in C3, ReLU, max pooling and a linear output.

    The layers keep the paper's names. Weights start as He et al. (2015, arXiv:1502.01852) propose, biases at zero.
    `size` sets the width of the first linear layer: 16·5·5 for the paper's 32×32 images.
    """

    def __init__(
        self, *, classes: int = 10, channels: int = 1, size: tuple[int, int] = (32, 32), dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.size: tuple[int, int] | None = size
        height, width = (((side - 4) // 2 - 4) // 2 for side in size)
        self.c1 = nn.Conv2d(channels, 6, kernel_size=5)
        self.s2 = nn.MaxPool2d(2)
        self.c3 = nn.Conv2d(6, 16, kernel_size=5)
        self.s4 = nn.MaxPool2d(2)
        self.relu = nn.ReLU()
        self.flatten = nn.Flatten()
        self.c5 = nn.Linear(16 * height * width, 120)
        self.f6 = nn.Linear(120, 84)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(84, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Map images (N, channels, H, W) to scores (N, classes)."""
        check_exact(x_NCHW, self.size)
        x = self.s2(self.relu(self.c1(x_NCHW)))
        x = self.s4(self.relu(self.c3(x)))
        x = self.relu(self.c5(self.flatten(x)))
        x = self.relu(self.f6(x))
        return self.output(self.dropout(x))  # type: ignore[no-any-return]


def _lenet5(asked: Request) -> nn.Module:
    return LeNet5(classes=asked.classes, channels=asked.channels, size=asked.size, dropout=asked.dropout or 0.0)


FAMILY = Family(
    networks={"lenet5": _lenet5},
    first="c1",
    heads=("output",),
)
