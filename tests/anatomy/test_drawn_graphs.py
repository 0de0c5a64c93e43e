"""Drawn graphs: what is told of each unit is what moves when a row or a column of the image does.

The drawing is that of `benchmarks/faults/drawn_graphs.py`, which judges thousands; here are some of each kind of step.
"""

import importlib.util
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "faults" / "drawn_graphs.py"


def _load():
    specification = importlib.util.spec_from_file_location("drawn_graphs", FILE)
    module = importlib.util.module_from_spec(specification)
    sys.modules["drawn_graphs"] = module
    specification.loader.exec_module(module)
    return module


drawn_graphs = _load()


@pytest.mark.filterwarnings("ignore")  # torch's own about what is drawn, such as a padding larger than the map
@pytest.mark.parametrize("kind", sorted(drawn_graphs.KINDS))
def test_graphs_with_a_kind_of_step_are_told_right(kind):
    others = ["same_convolution", "resized", "joined", "pool", "sliced"]
    for seed in range(5):
        word, detail = drawn_graphs.judged(seed, [kind, kind, *others])
        assert word in ("exact", "bounded"), detail


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("start", range(0, 60, 20))
def test_graphs_of_all_kinds_are_told_right(start):
    words = [drawn_graphs.judged(seed) for seed in range(start, start + 20)]
    assert [detail for word, detail in words if word in ("wrong", "raised")] == []
    assert sum(word == "exact" for word, _ in words) >= 17  # bounds are for numbers that decide, and for rounding


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", [31110, 31019, 40302, 41649])
def test_graphs_that_were_once_told_wrong(seed):
    """Keys and queries whose product is 0 whatever the input; rows that a view lost, before channels went last."""
    assert drawn_graphs.judged(seed) == ("exact", "")
