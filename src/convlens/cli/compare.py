"""What `convlens compare` takes, and its help."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def compare(
    *sources: str,
    size: str | None = None,
    literature: Annotated[bool, Parameter(negative="")] = False,
    figure: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Compare networks: totals, then stage by stage. A stage is all operations on maps of one size.

    Example: convlens compare resnet50 efficientnet_b4 --size 224

    Args:
        sources: Two or more networks: names, run folders, or code such as my_net.py:Net.
        size: Input size in pixels for all networks: 224, or 192,256 for height and width. Default: the usual size of
            each.
        literature: Show the lecture's last figure instead: accuracies and sizes from the papers, sizes and costs
            recomputed, and the lecture's claims about them.
        figure: With --literature: file to draw the figure to (.png, .svg, .pdf).
        json_: Print the result as JSON and nothing else.
    """
