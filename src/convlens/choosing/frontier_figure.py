"""Accuracy against what it costs: EfficientNet's figure 1, for one's own images and machine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any

from convlens.choosing.frontier import Entry, Frontier
from convlens.evaluation.figures import COLOURS, PERCENT, plain_layout, show_percent
from convlens.quantities import count, size_in_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BEHIND = "#8c959f"
_FAR_BELOW = 0.15  # of accuracy, below the worst that finished: further down nothing is looked for
_DIGITS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0))


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One kind of cost: the attribute of `Costs`, its name on an axis, and how it is written."""

    attribute: str
    label: str
    write: Callable[[float], str]


COSTS = (
    Cost(attribute="parameters", label="parameters", write=lambda value: count(round(value))),
    Cost(attribute="macs", label="MACs an image", write=lambda value: count(round(value))),
    Cost(attribute="file_bytes", label="file", write=lambda value: size_in_bytes(round(value))),
    Cost(attribute="latency_ms", label="latency, ms an image", write=lambda value: f"{value:.3g}"),
    Cost(attribute="memory_bytes", label="memory", write=lambda value: size_in_bytes(round(value))),
)


@dataclass(frozen=True, kw_only=True)
class Against:
    """Accuracy against one cost: a `Drawing`. What did not finish is drawn pale, by its validation accuracy so far."""

    found: Frontier
    cost: Cost

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return f"accuracy-{self.cost.attribute.partition('_')[0]}"

    @property
    def title(self) -> str:
        """What the figure shows."""
        return f"Accuracy against {self.cost.label.partition(',')[0]}"

    def plotly(self) -> dict[str, Any]:
        """The figure as Plotly reads it; what a click opens is in `customdata`."""
        data = [self._trace(*series) for series in self._series() if series[1]]
        if staircase := self._staircase():
            line = {"color": COLOURS[0], "width": 1.5, "shape": "hv"}
            x, y = zip(*staircase, strict=True)
            data.insert(
                0,
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": x,
                    "y": y,
                    "line": line,
                    "hoverinfo": "skip",
                    "showlegend": False,
                },
            )
        layout = plain_layout(self.title, self.cost.label, "accuracy")
        ticks = self._tick_values()
        layout["xaxis"] |= {"type": "log", "tickvals": ticks, "ticktext": [self.cost.write(value) for value in ticks]}
        layout["xaxis"] |= {"range": [log10(end) for end in self._range()]}
        layout["yaxis"] |= {"tickformat": PERCENT, "range": list(self._accuracies())}
        return {"data": data, "layout": layout | {"hovermode": "closest", "height": 420}}

    def draw(self, axes: "Axes") -> None:
        """Draw the figure with matplotlib; those on the frontier are named."""
        if staircase := self._staircase():
            x, y = zip(*staircase, strict=True)
            axes.step(x, y, where="post", color=COLOURS[0], linewidth=1.2)
        for label, entries, colour, filled in self._series():
            for index, entry in enumerate(entries):
                self._draw_point(axes, entry, colour, filled, label if index == 0 else None)
        axes.set(xlabel=self.cost.label, ylabel="accuracy", xscale="log")
        axes.set(xlim=self._range(), ylim=self._accuracies())
        axes.minorticks_off()
        values = self._tick_values()
        axes.set_xticks(values, [self.cost.write(value) for value in values])
        show_percent(axes)
        axes.grid(alpha=0.25)

    def _draw_point(self, axes: "Axes", entry: Entry, colour: str, filled: bool, label: str | None) -> None:
        x, y = self._place(entry)
        face = colour if filled else "white"
        below, above = _bar(entry)
        bars = None if entry.top1 is None else [[below], [above]]
        axes.errorbar(
            [x], [y], yerr=bars, fmt="o", color=colour, markerfacecolor=face, markersize=6, elinewidth=0.8, label=label
        )
        if entry.on_frontier or entry.name == self.found.recommended:
            weight = "bold" if entry.name == self.found.recommended else "normal"
            axes.annotate(
                entry.name, (x, y), (0, 7), textcoords="offset points", ha="center", fontsize=7, fontweight=weight
            )

    def _series(self) -> list[tuple[str, list[Entry], str, bool]]:
        """Label, candidates, colour, filled; a candidate whose cost or accuracy is unknown is in none."""
        known = [entry for entry in self.found.entries if self._is_known(entry)]
        taken = self.found.recommended
        return [
            ("left behind (validation)", [e for e in known if e.top1 is None], _BEHIND, False),
            ("finished", [e for e in known if e.top1 is not None and e.name != taken], COLOURS[0], True),
            ("recommended", [e for e in known if e.name == taken], COLOURS[1], True),
        ]

    def _is_known(self, entry: Entry) -> bool:
        cost = getattr(entry.costs, self.cost.attribute) if entry.costs else None
        # what was counted is no measurement: of these two, only candidates that finished have one
        if self.cost.attribute in ("latency_ms", "memory_bytes") and entry.status != "finished":
            return False
        return cost is not None and cost > 0 and (entry.top1 is not None or entry.val_top1 is not None)

    def _place(self, entry: Entry) -> tuple[float, float]:
        y = entry.top1 if entry.top1 is not None else entry.val_top1
        assert y is not None
        return float(getattr(entry.costs, self.cost.attribute)), y

    def _staircase(self) -> list[tuple[float, float]]:
        """The frontier of this cost alone: each step is the best accuracy for at most so much."""
        places = sorted(
            (self._place(e) for e in self.found.finished if self._is_known(e)), key=lambda place: (place[0], -place[1])
        )
        best: list[tuple[float, float]] = []
        for place in places:
            if not best or place[1] > best[-1][1]:
                best.append(place)
        return best if len(best) > 1 else []

    def _trace(self, label: str, entries: Sequence[Entry], colour: str, filled: bool) -> dict[str, Any]:
        places = [self._place(entry) for entry in entries]
        trace: dict[str, Any] = {
            "type": "scatter",
            "mode": "markers",
            "name": label,
            "x": [x for x, _ in places],
            "y": [y for _, y in places],
            "customdata": [[self._report_of(entry)] for entry in entries],
            "hovertext": [hover_text(entry, self.found) for entry in entries],
            "hovertemplate": "%{hovertext}<extra></extra>",
            "marker": {
                "color": colour,
                "size": 11,
                "symbol": "circle" if filled else "circle-open",
                "line": {"width": 2},
            },
        }
        if filled:
            trace["error_y"] = {
                "type": "data",
                "symmetric": False,
                "array": [_bar(entry)[1] for entry in entries],
                "arrayminus": [_bar(entry)[0] for entry in entries],
                "thickness": 1,
                "width": 3,
            }
        return trace

    def _report_of(self, entry: Entry) -> str | None:
        return report_of(entry)

    def _tick_values(self) -> list[float]:
        """Round numbers inside the range: few of a wide one, finer ones of a narrow one."""
        low, high = self._range()
        every: list[float] = []
        for digits in _DIGITS:
            every = [digit * 10.0**power for power in range(-6, 15) for digit in digits]
            every = [value for value in every if low <= value <= high]
            if len(every) >= 3:
                return every
        step = 10.0 ** floor(log10((high - low) / 2))
        return every if len(every) > 1 else [ceil(low / step) * step, floor(high / step) * step]

    def _range(self) -> tuple[float, float]:
        """What the axis of the cost shows: all that the other axis shows, and a margin."""
        lowest = self._accuracies()[0]
        places = [self._place(entry) for entry in self.found.entries if self._is_known(entry)]
        known = [x for x, y in places if y >= lowest] or [1.0]
        margin = max(1.06, (max(known) / min(known)) ** 0.12)
        return min(known) / margin, max(known) * margin

    def _accuracies(self) -> tuple[float, float]:
        """What the other axis shows: those that finished, and of the others those that are not far below."""
        known = [entry for entry in self.found.entries if self._is_known(entry)]
        finished = [entry.low or 0.0 for entry in known if entry.top1 is not None]
        every = [*finished, *(self._place(entry)[1] for entry in known)] or [0.0]
        top = max([entry.high or 1.0 for entry in known if entry.top1 is not None], default=1.0)
        bottom = max(min(every), min(finished, default=0.0) - _FAR_BELOW)
        return bottom - 0.06 * (top - bottom), top + 0.06 * (top - bottom)


def _bar(entry: Entry) -> tuple[float, float]:
    """How far the interval reaches below and above; of an accuracy of 1 it may end a rounding error below it."""
    if entry.top1 is None or entry.low is None or entry.high is None:
        return 0.0, 0.0
    return max(0.0, entry.top1 - entry.low), max(0.0, entry.high - entry.top1)


def report_of(entry: Entry) -> str | None:
    """Where the report of a candidate's run is, relative to the study; None where it has none."""
    return f"{entry.run}/report.html" if entry.run and entry.status == "finished" else None


def hover_text(entry: Entry, found: Frontier) -> str:
    """Every number of a candidate, each with its name; lines are separated by <br>, as Plotly wants them."""
    lines = [f"<b>{entry.name}</b>"]
    if entry.top1 is not None:
        lines.append(f"{found.split} accuracy {entry.top1:.2%} ({entry.low:.2%} to {entry.high:.2%})")
    if len(entry.seeds) > 1:
        lines.append(f"seeds {', '.join(f'{seed:.2%}' for seed in entry.seeds)}")
    if entry.val_top1 is not None:
        lines.append(f"validation accuracy {entry.val_top1:.2%} after {entry.epochs} epochs, {entry.status}")
    measured = entry.status == "finished"
    for cost in COSTS:
        value = getattr(entry.costs, cost.attribute) if entry.costs else None
        if value is not None and (measured or cost.attribute in ("parameters", "macs", "file_bytes")):
            lines.append(f"{cost.label}: {cost.write(value)}")
    if entry.runtime:
        lines.append(f"on {entry.runtime} in {entry.precision}")
    return "<br>".join(lines)
