"""Figure 1 of the EfficientNet paper, drawn anew: accuracy against parameters."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convlens.errors import ConvlensError
from convlens.files import replacing
from convlens.lessons.literature import Compared

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".png", ".svg", ".pdf")
_TONES = {"efficientnet": "#c1121f", "resnet": "#1f4e79"}
_OTHERS = "#666666"
# labels that would lie on a neighbour's otherwise: offset in points, and which end of the text is at the point
_OFFSETS = {
    "EfficientNet-B5": (-6, 4, "right"),
    "EfficientNet-B6": (-6, 5, "right"),
    "EfficientNet-B7": (6, 4, "left"),
    "NASNet-A": (-7, -4, "right"),
}


def check_figure(path: Path) -> None:
    """Check the name of a picture before anything is computed.

    Raises:
        ConvlensError: another suffix than .png, .svg or .pdf.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConvlensError(f"cannot draw {path}: the name must end in {', '.join(SUFFIXES)}")


def draw_figure_1(rows: Sequence[Compared], path: Path) -> None:
    """Draw the paper's comparison: filled where the parameters are recomputed, hollow where they are as published.

    Raises:
        ConvlensError: another suffix than .png, .svg or .pdf.
    """
    from matplotlib.figure import Figure

    check_figure(path)
    figure = Figure(figsize=(8.0, 5.2), layout="constrained")
    axes = figure.add_subplot()
    shown = [row for row in rows if row.stated.in_figure_1]
    for family in dict.fromkeys(row.stated.family for row in shown):
        _draw_family(axes, [row for row in shown if row.stated.family == family], _TONES.get(family))
    axes.set_xscale("log")
    axes.set_xticks([5e6, 1e7, 2e7, 5e7, 1e8, 2e8, 5e8], ["5 M", "10 M", "20 M", "50 M", "100 M", "200 M", "500 M"])
    axes.set_xlim(4e6, 1.1e9)
    axes.minorticks_off()
    axes.set_xlabel("parameters: filled as recomputed from the network, hollow as published")
    axes.set_ylabel("ImageNet top-1, % (as published)")
    axes.grid(alpha=0.25)
    axes.set_title("Accuracy against size (Tan and Le, 2019, figure 1)", fontsize=11)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=150)


def _draw_family(axes: "Axes", rows: Sequence[Compared], tone: str | None) -> None:
    points = [(row.parameters or row.stated.parameters or 0.0, row.stated.top1 or 0.0) for row in rows]
    if tone is not None:  # sizes of one network, as the paper joins them
        axes.plot(*zip(*points, strict=True), color=tone, linewidth=1.5)
    for row, (x, y) in zip(rows, points, strict=True):
        colour = tone or _OTHERS
        axes.plot(x, y, "o", markersize=7, color=colour, markerfacecolor=colour if row.parameters else "white")
        right, up, end = _OFFSETS.get(row.stated.network, (7, -4, "left"))
        axes.annotate(
            row.stated.network, (x, y), (right, up), textcoords="offset points", ha=end, fontsize=8, color=colour
        )
