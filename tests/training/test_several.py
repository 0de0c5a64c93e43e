import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convlens.cli.main import main
from convlens.training.several import student_interval


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_the_interval_is_around_the_mean_and_nothing_without_spread(values):
    mean, low, high = student_interval(values)
    assert low <= mean + 1e-12
    assert high >= mean - 1e-12
    assert mean == pytest.approx(sum(values) / len(values))
    same = student_interval([values[0]] * 3)
    assert same[1] == pytest.approx(same[2], abs=1e-6)


@pytest.mark.parametrize(("values", "factor"), [(2, 12.7062), (5, 2.7764), (12, 2.2010), (30, 2.0452), (121, 1.9799)])
def test_the_interval_is_as_wide_as_students_table_says(values, factor):
    rates = [0.9, *[1.0] * (values - 1)]
    mean, low, high = student_interval(rates)
    error = math.sqrt(sum((rate - mean) ** 2 for rate in rates) / (values - 1) / values)
    assert (high - mean) / error == pytest.approx(factor, abs=1e-4)
    assert (mean - low) / error == pytest.approx(factor, abs=1e-4)


def test_seeds_make_a_run_each_and_an_interval(tmp_path, capsys):
    words = ["train", "digits", "--network", "lenet5", "--epochs", "1", "--batch", "256", "--no-tune", "--quiet"]
    assert main([*words, "--seeds", "2", "--runs", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "95 % interval" in shown
    assert "2 seeds" in shown
    ends = [float(end) for end in re.search(r"interval ([-\d.]+)% to ([-\d.]+)%", shown).groups()]
    assert 0 <= ends[0] <= ends[1] <= 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lenet5-seed0", "lenet5-seed1"]
    assert main([*words, "--seeds", "0", "--runs", str(tmp_path)]) == 2
