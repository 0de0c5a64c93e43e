"""Scaling in one dimension against all three: the EfficientNet paper's figure 8, on one's own images."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from convlens import files
from convlens.choosing.compound import Tried
from convlens.errors import ConvlensError
from convlens.evaluation.figures import COLOURS, show_percent

_SUFFIXES = (".png", ".svg", ".pdf")


def check_scaling_figure(path: Path) -> None:
    """Stop unless a picture can be written there.

    Raises:
        ConvlensError: another suffix than .png, .svg and .pdf.
    """
    if path.suffix not in _SUFFIXES:
        raise ConvlensError(f"a figure is written as {', '.join(_SUFFIXES)}, not {path.name!r}")


def draw_scaling(lines: Mapping[str, Sequence[Tried]], path: Path, data: str) -> None:
    """Draw validation accuracy against multiply-adds, a line for each dimension."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for (what, tried), colour in zip(lines.items(), COLOURS, strict=False):
        width, style = (2.5, "o-") if what == "all three" else (1.5, "o--")
        axes.plot(
            [each.macs / 1e6 for each in tried],
            [each.top1 for each in tried],
            style,
            color=colour,
            lw=width,
            label=what,
        )
    axes.set_xscale("log")
    ticks = sorted({each.macs / 1e6 for each in lines["all three"]})
    axes.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("multiply-adds for an image, millions")
    axes.set_ylabel("validation accuracy")
    show_percent(axes)
    axes.grid(alpha=0.3)
    axes.legend(title="scaled in", frameon=False)
    first = next(iter(lines.values()))[0]
    axes.set_title(f"{first.name} on {Path(data).name}, scaled to about twice and four times its cost", fontsize=10)
    with files.replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=150)
