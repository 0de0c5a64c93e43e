"""The figure of a study, at the ends of what accuracies and costs can be."""

from pathlib import Path

import pytest

from convlens.choosing.frontier import Entry, Frontier
from convlens.choosing.frontier_figure import COSTS, Against, hover_text
from convlens.choosing.frontier_report import as_png
from convlens.choosing.limits import Costs
from convlens.evaluation.metrics import wilson_interval


def finished(name, parameters, right, images=12):
    low, high = wilson_interval(right, images)
    costs = Costs(parameters=parameters, macs=7, file_bytes=parameters, memory_bytes=9, latency_ms=0.2)
    about = {"network": name, "size": (32, 32), "weights": None, "status": "finished", "costs": costs}
    return Entry(name=name, **about, top1=right / images, low=low, high=high, seeds=(right / images,))


def study(*entries):
    texts = {"because": "", "stopped_because": "", "processor": ""}
    about = {"study": Path("s"), "data": "photos", "split": "test", "images": 12, "limits": {}, "comparisons": ()}
    recommended = entries[0].name if entries else None
    return Frontier(**about, **texts, entries=entries, recommended=recommended, seconds=1.0, threads=1)


@pytest.mark.parametrize("right", range(13))
@pytest.mark.parametrize("cost", COSTS, ids=lambda cost: cost.attribute)
def test_no_accuracy_makes_a_bar_of_negative_length(right, cost):
    figure = Against(found=study(finished("a", 10, right)), cost=cost).plotly()
    bars = [trace["error_y"] for trace in figure["data"] if "error_y" in trace]
    assert len(bars) == 1
    assert min(*bars[0]["array"], *bars[0]["arrayminus"]) >= 0


@pytest.mark.parametrize("parameters", [(10,), (10, 10), (1_000_000, 1_010_000), (10, 10_000_000_000)])
def test_a_picture_of_equal_near_and_far_costs_is_drawn(parameters):
    entries = [finished(f"net{n}", each, 12 - n) for n, each in enumerate(parameters)]
    assert as_png(study(*entries)).startswith(b"\x89PNG")
    layout = Against(found=study(*entries), cost=COSTS[0]).plotly()["layout"]["xaxis"]
    assert 1 <= len(layout["tickvals"]) == len(layout["ticktext"]) <= 12


def test_what_a_point_tells_begins_with_the_whole_name():
    assert "<b>net@1.2,1.1,64</b>" in hover_text(finished("net@1.2,1.1,64", 10, 6), study(finished("a", 10, 6)))
