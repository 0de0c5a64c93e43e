"""The fully connected network: every pixel is wired to every unit, and nothing is shared.

LeCun et al., Gradient-based learning applied to document recognition, 1998, section III-C: the 784-300-100-10 network
that LeNet-5 is compared with. Its first layer alone has H·W·C·300 weights, and it has to learn a pattern anew at every
place where the pattern can stand.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from convlens.networks.families import Family, Request
from convlens.networks.size_checks import check_exact


class MLP(nn.Module):
    """Flatten, hidden layers with ReLU, classes.

    Weights start as Glorot and Bengio (2010) propose (Xavier uniform), biases at zero.
    """

    def __init__(
        self,
        *,
        classes: int = 10,
        channels: int = 1,
        size: tuple[int, int] = (28, 28),
        hidden: Sequence[int] = (300, 100),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.size: tuple[int, int] | None = size
        widths = (channels * size[0] * size[1], *hidden)
        self.flatten = nn.Flatten()
        self.hidden = nn.Sequential()
        for number, (wide, narrow) in enumerate(pairwise(widths), start=1):
            self.hidden.add_module(f"fc{number}", nn.Linear(wide, narrow))
            self.hidden.add_module(f"relu{number}", nn.ReLU(inplace=True))
            self.hidden.add_module(f"dropout{number}", nn.Dropout(dropout))
        self.classifier = nn.Linear(widths[-1], classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Map images (N, channels, H, W) to scores (N, classes)."""
        check_exact(x_NCHW, self.size)
        scores: Tensor = self.classifier(self.hidden(self.flatten(x_NCHW)))
        return scores


def _mlp(asked: Request) -> nn.Module:
    return MLP(classes=asked.classes, channels=asked.channels, size=asked.size, dropout=asked.dropout or 0.0)


FAMILY = Family(
    networks={"mlp": _mlp},
    first=None,
    heads=("classifier",),
)
