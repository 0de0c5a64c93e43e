"""Figures, described once and drawn twice: by Plotly for pages, by matplotlib as PNG files."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from convlens import files
from convlens.errors import ConvlensError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# distinguishable with any kind of colour vision (Okabe and Ito 2008)
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_INK, _GRID = "#24292f", "#d8dee4"
PERCENT = ".2~%"  # Plotly's format of an axis: no more decimals than needed
_LONGEST_LABEL = 24  # characters beside a matrix
_LARGEST_NUMBERED = 25  # classes up to which the counts are written into a matrix


class Drawing(Protocol):
    """A figure with a name for its file and a title for people."""

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        ...

    @property
    def title(self) -> str:
        """What the figure shows, for people."""
        ...

    def plotly(self) -> dict[str, Any]:
        """The figure as Plotly reads it: data and layout."""
        ...

    def draw(self, axes: "Axes") -> None:
        """Draw the figure with matplotlib."""
        ...


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Lines over a common axis; a series is a sequence of y, with None where nothing is known."""

    name: str
    title: str
    x_label: str
    y_label: str
    x: Sequence[float]
    series: Mapping[str, Sequence[float | None]]
    percent: bool = False
    logarithmic: bool = False

    def plotly(self) -> dict[str, Any]:
        """The figure as Plotly reads it."""
        mode = "lines+markers" if len(self.x) <= 60 else "lines"
        data = [
            {
                "type": "scatter",
                "mode": mode,
                "name": label,
                "x": list(self.x),
                "y": list(values),
                "line": {"color": colour},
            }
            for (label, values), colour in zip(self.series.items(), _endless(COLOURS, len(self.series)), strict=True)
        ]
        layout = plain_layout(self.title, self.x_label, self.y_label)
        layout["yaxis"] |= {"tickformat": PERCENT} if self.percent else {}
        layout["yaxis"] |= {"type": "log"} if self.logarithmic else {}
        layout["xaxis"] |= {"dtick": 1} if self._few_whole() else {}  # there is no epoch 1.5
        return {"data": data, "layout": layout | {"showlegend": len(data) > 1}}

    def draw(self, axes: "Axes") -> None:
        """Draw the lines with matplotlib."""
        for (label, values), colour in zip(self.series.items(), _endless(COLOURS, len(self.series)), strict=True):
            y = [float("nan") if value is None else value for value in values]
            axes.plot(self.x, y, label=label, color=colour, marker="o" if len(self.x) <= 60 else None, markersize=3)
        axes.set(xlabel=self.x_label, ylabel=self.y_label, yscale="log" if self.logarithmic else "linear")
        axes.grid(color=_GRID)
        if self._few_whole():
            axes.set_xticks(self.x)
        if self.percent:
            show_percent(axes)
        if len(self.series) > 1:
            axes.legend(frameon=False)

    def _few_whole(self) -> bool:
        return len(self.x) <= 10 and all(float(x).is_integer() for x in self.x)


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Counts by true class (rows) and predicted class (columns)."""

    name: str
    title: str
    labels: Sequence[str]
    counts: Sequence[Sequence[int]]

    def plotly(self) -> dict[str, Any]:
        """The figure as Plotly reads it; colours are shares of the row, so that small classes are seen too."""
        numbered = len(self.labels) <= _LARGEST_NUMBERED
        names = [escape(label) for label in self._short()]  # Plotly reads entities and some tags in labels
        heat = {
            "type": "heatmap",
            "z": self._shares(),
            "text": [list(row) for row in self.counts],
            "texttemplate": "%{text}" if numbered else "",
            "hovertemplate": "%{y} taken for %{x}: %{text} (%{z:.1%})<extra></extra>",
            "x": names,
            "y": names,
            "zmin": 0,
            "zmax": 1,
            "colorscale": [[0, "#ffffff"], [1, COLOURS[0]]],
            "xgap": 1,
            "ygap": 1,
            "showscale": False,
        }
        layout = plain_layout(self.title, "predicted", "true")
        layout["xaxis"] |= {"type": "category"}
        layout["yaxis"] |= {"type": "category", "autorange": "reversed"}
        return {"data": [heat], "layout": layout | {"height": max(420, min(900, 30 * len(self.labels) + 140))}}

    def draw(self, axes: "Axes") -> None:
        """Draw the matrix with matplotlib."""
        from matplotlib.colors import LinearSegmentedColormap

        shares = self._shares()
        axes.imshow(shares, cmap=LinearSegmentedColormap.from_list("share", ["white", COLOURS[0]]), vmin=0, vmax=1)
        if len(self.labels) <= 40:
            ticks = range(len(self.labels))
            names = self._short()
            axes.set_xticks(ticks, names, rotation=45 if max(map(len, names)) > 3 else 0, ha="right")
            axes.set_yticks(ticks, names)
        if len(self.labels) <= _LARGEST_NUMBERED:
            for i, row in enumerate(self.counts):
                for j, count in enumerate(row):
                    colour = "white" if shares[i][j] > 0.5 else _INK
                    axes.text(j, i, str(count), ha="center", va="center", color=colour, fontsize=7)
        axes.set(xlabel="predicted", ylabel="true")

    def _short(self) -> list[str]:
        """The labels, long ones without their middle: no two alike, or a category would stand for two classes."""
        return shortened(self.labels)

    def _shares(self) -> list[list[float]]:
        return [[count / max(1, sum(row)) for count in row] for row in self.counts]


@dataclass(frozen=True, kw_only=True)
class Bars:
    """A value for each label, None where nothing is known; the diagonal of a reliability figure is drawn as a line.

    Above each bar stands how many images it is made of, if `counts` says so.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    labels: Sequence[str]
    values: Sequence[float | None]
    counts: Sequence[int] | None = None
    line: Sequence[float] | None = None

    def plotly(self) -> dict[str, Any]:
        """The figure as Plotly reads it."""
        data: list[dict[str, Any]] = [
            {"type": "bar", "x": list(self.labels), "y": list(self.values), "marker": {"color": COLOURS[0]}}
        ]
        if self.counts is not None:
            data[0] |= {
                "text": self._written(),
                "textposition": "outside",
                "cliponaxis": False,
                "hovertemplate": "%{x}: %{y:.1%} of %{text} images<extra></extra>",
            }
        if self.line is not None:
            line = {"color": COLOURS[1], "dash": "dash"}
            data.append(
                {"type": "scatter", "mode": "lines", "x": list(self.labels), "y": list(self.line), "line": line}
            )
        layout = plain_layout(self.title, self.x_label, self.y_label)
        layout["yaxis"] |= {"tickformat": PERCENT, "range": [0, 1.08 if self.counts else 1]}
        layout["xaxis"] |= {"type": "category"}
        return {"data": data, "layout": layout | {"showlegend": False}}

    def draw(self, axes: "Axes") -> None:
        """Draw the bars with matplotlib."""
        bars = axes.bar(self.labels, [value or 0.0 for value in self.values], color=COLOURS[0])
        if self.counts is not None:
            axes.bar_label(bars, self._written(), fontsize=7)
        if self.line is not None:
            axes.plot(self.labels, self.line, color=COLOURS[1], linestyle="--")
        axes.set(xlabel=self.x_label, ylabel=self.y_label, ylim=(0, 1.08 if self.counts else 1))
        show_percent(axes)
        axes.tick_params(axis="x", rotation=45 if max(map(len, self.labels)) > 3 else 0, labelsize=8)

    def _written(self) -> list[str]:
        return [f"{count:,}" if count else "" for count in self.counts or ()]


def shortened(labels: Sequence[str], most: int = _LONGEST_LABEL) -> list[str]:
    """Labels of about so many characters, the middle of long ones left out, and no two alike.

    >>> shortened(["owl", "a-very-long-name-of-a-bird", "a-very-long-tale-of-a-bird"], 11)
    ['owl', 'a-ver…-bird', 'a-ver…-bird (2)']
    """
    short: list[str] = []
    for label in labels:
        half = (most - 1) // 2
        fitting = label if len(label) <= most else f"{label[: most - 1 - half]}…{label[-half:]}"
        name, number = fitting, 1
        while name in short:
            number += 1
            name = f"{fitting} ({number})"
        short.append(name)
    return short


def check_png(path: Path) -> None:
    """Say before the work that a figure could not be written to a path.

    Raises:
        ConvlensError: a path with another suffix than .png.
    """
    if path.suffix.lower() != ".png":
        raise ConvlensError(f"the figure is {str(path)!r}; give a file name that ends in .png")


def save_png(drawing: Drawing, path: Path) -> Path:
    """Write a PNG file, whole or not at all.

    Raises:
        ConvlensError: a path with another suffix than .png.
    """
    check_png(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    drawing.draw(axes)
    axes.set_title(drawing.title)
    with files.replacing(path) as temporary, warnings.catch_warnings():
        # class names may be in any script; what the font lacks becomes boxes here, and is whole in the page
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(temporary, format="png")
    return path


def show_percent(axes: "Axes") -> None:
    """Write the vertical axis in percent, with as many decimals as its ticks need, as `PERCENT` does for Plotly."""
    from matplotlib.ticker import PercentFormatter

    axes.yaxis.set_major_formatter(PercentFormatter(1))


def plain_layout(title: str, x_label: str, y_label: str) -> dict[str, Any]:
    """What all of Plotly's figures have in common: white paper, a grid, room for long labels."""
    return {
        "title": {"text": title, "font": {"size": 15}},
        "xaxis": {"title": {"text": x_label}, "gridcolor": _GRID, "automargin": True},
        "yaxis": {
            "title": {"text": y_label, "standoff": 12},  # after the labels, however long these are
            "gridcolor": _GRID,
            "automargin": True,
            "exponentformat": "power",  # a learning rate of 0.0008 is no 800µ
        },
        "margin": {"l": 50, "r": 15, "t": 45, "b": 45},
        "height": 380,
        "autosize": True,
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "font": {"color": _INK},
        "legend": {"orientation": "h", "y": -0.25},
    }


def _endless(colours: Sequence[str], count: int) -> list[str]:
    return [colours[i % len(colours)] for i in range(count)]
