import subprocess
import sys
from collections import Counter
from io import StringIO
from pathlib import Path
from random import Random

import pytest
from rich.console import Console

pytest.importorskip("optuna")

from convlens.choosing.halving import LAST, Standing, epochs_at, promoted
from convlens.choosing.study import in_order
from convlens.choosing.study_progress import Bar, Lines
from convlens.training.progress import Plan
from convlens.training.state import State
from convlens.training.trouble import TrainingError

from .pretended import NETWORKS, calls_in, pretend, search_in


def test_a_quarter_goes_on_at_each_rung_and_the_best_is_trained_to_its_end(tmp_path):
    search = search_in(tmp_path)
    ended = search.go()
    assert ended.stopped_by == 0
    counted = Counter(line.split()[1] for line in calls_in(tmp_path))
    assert counted["2"] == len(NETWORKS)
    assert counted["8"] == 3
    assert counted["32"] <= 3
    reached = search.reached()
    assert reached["net8"].status == "finished"
    assert sum(each.status == "left behind" for each in reached.values()) >= 6
    epochs = sum(each.epochs for each in reached.values())
    assert epochs < 0.5 * 32 * len(NETWORKS)


def test_half_of_the_places_are_for_networks_that_no_smaller_one_beats():
    large = {n: Standing(top1=0.9 - n / 1000, parameters=900 + n, macs=900 + n) for n in range(10)}
    small = {10: Standing(top1=0.7, parameters=5, macs=5), 11: Standing(top1=0.5, parameters=9, macs=9)}
    assert promoted(large | small) == [0, 1, 10]


def test_a_rung_has_some_dozens_of_steps_however_short_the_training():
    assert [epochs_at(rung, 4, 10) for rung in range(LAST + 1)] == [0, 4, 4, 4]
    assert [epochs_at(rung, 160, 1000) for rung in range(LAST + 1)] == [0, 10, 40, 160]


def test_the_same_seed_gives_the_same_order_and_another_one_another(tmp_path):
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        (tmp_path / folder).mkdir()
        search_in(tmp_path / folder, seed=seed).go()
    assert calls_in(tmp_path / "a") == calls_in(tmp_path / "b") != calls_in(tmp_path / "c")
    first = [line.split()[0] for line in calls_in(tmp_path / "a")[: len(NETWORKS)]]
    assert first == in_order(list(NETWORKS), 3)


def test_a_study_that_is_gone_on_with_at_its_end_trains_nothing(tmp_path):
    search_in(tmp_path).go()
    before = calls_in(tmp_path)
    ended = search_in(tmp_path).go()
    assert calls_in(tmp_path) == before
    assert ended.why


@pytest.mark.slow
def test_killed_in_the_midst_of_its_journal_no_trial_is_repeated(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir(), killed.mkdir()
    expected = search_in(whole)
    expected.go()
    moments = [str(each) for each in Random(1).sample(range(9, 30), 5)]
    script = Path(__file__).with_name("killed_study.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(killed), *moments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    reached = search_in(killed).reached()
    assert reached == expected.reached()
    # what was cut before its value was written is asked of its run again, which has its epochs: at most one a kill
    repeated = len(calls_in(killed)) - len(calls_in(whole))
    assert 0 <= repeated <= len(moments)


def test_a_signal_ends_the_study_between_trainings_and_within_one(tmp_path):
    asked = []

    def interrupted(settings, until, held_out, watcher=None):
        asked.append(settings["name"])
        return pretend(settings, until, held_out) | {"stopped_by": 15 if len(asked) == 4 else 0}

    assert search_in(tmp_path, run=interrupted).go().stopped_by == 15
    assert search_in(tmp_path, asked_to_stop=lambda: 2).go().stopped_by == 2
    search = search_in(tmp_path, run=interrupted)
    assert search.go().stopped_by == 0
    assert asked.count(asked[3]) >= 2  # gone on with
    assert all(asked[:3].count(name) == 1 for name in asked[:3])


def test_a_training_that_fails_ends_its_candidate_and_no_other(tmp_path):
    def diverging(settings, until, held_out, watcher=None):
        if settings["name"] == "net8" and until > 2:
            raise TrainingError("the loss became nan; use a smaller --lr")
        return pretend(settings, until, held_out)

    search = search_in(tmp_path, run=diverging)
    search.go()
    reached = search.reached()
    assert (reached["net8"].status, reached["net8"].failed) == ("failed", "the loss became nan")
    assert "finished" in [each.status for each in reached.values()]
    before = calls_in(tmp_path)
    search_in(tmp_path, run=diverging).go()
    assert calls_in(tmp_path) == before  # it is not tried again


def test_a_budget_bounds_the_seconds_and_something_is_finished_all_the_same(tmp_path):
    """Each pretended training takes as many seconds as it has epochs."""
    for budget in (1.0, 60.0, 110.0):
        folder = tmp_path / str(budget)
        folder.mkdir()
        search = search_in(folder, budget=budget)
        ended = search.go()
        assert "budget" in ended.why
        assert [each.status for each in search.reached().values()].count("finished") >= 1
        if budget > 100:
            assert search.seconds <= budget
    more = search_in(tmp_path / "60.0", budget=None)
    before = len(calls_in(tmp_path / "60.0"))
    more.go()
    assert len(calls_in(tmp_path / "60.0")) > before  # a larger budget goes on where the smaller one ended


@pytest.mark.parametrize("budget", [18.0, 30.0, 60.0])
def test_seconds_that_the_rungs_leave_are_for_candidates_that_were_not_tried(tmp_path, budget):
    """Each training takes two seconds, so that the first rung's third of the time is not enough for nine."""

    def quick(settings, until, held_out, watcher=None):
        return pretend(settings, until, held_out) | {"seconds": 2.0}

    search = search_in(tmp_path, budget=budget, run=quick)
    ended = search.go()
    untried = [each.status for each in search.reached().values()].count("not tried")
    assert search.seconds <= budget
    assert (untried == 0) == (budget >= 30.0)
    assert (f"{untried} were not tried (for the time budget is spent)" in ended.why) == (untried > 0)
    if untried:
        assert search.seconds > budget - 2


def test_no_more_candidates_are_tried_than_asked_for(tmp_path):
    search = search_in(tmp_path, most=4)
    ended = search.go()
    assert [each.status for each in search.reached().values()].count("not tried") == len(NETWORKS) - 4
    assert "5 were not tried" in ended.why


def test_what_cannot_change_the_recommendation_is_not_trained_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setitem(NETWORKS, "net8", (51200, 2))  # two mistakes: no larger network can be distinguished from it
    monkeypatch.setitem(NETWORKS, "net7", (99999, 4))
    monkeypatch.setitem(NETWORKS, "net6", (99998, 4))
    search = search_in(tmp_path)
    ended = search.go()
    assert ended.settled
    assert "would not change the recommendation" in ended.why
    assert "net7" in ended.why
    assert search.reached()["net7"].status == "waiting"


def test_each_candidate_of_the_last_rung_is_trained_with_every_seed(tmp_path):
    search_in(tmp_path, settings={"seeds": 3}).go()
    last = [line.split()[0] for line in calls_in(tmp_path) if line.split()[1] == "32"]
    finished = {name.partition("-")[0] for name in last}
    assert sorted(last) == sorted(f"{name}{end}" for name in finished for end in ("", "-seed1", "-seed2"))


def test_the_bar_says_the_best_so_far(tmp_path):
    console = Console(file=StringIO(), force_terminal=True, width=100)
    bar = Bar(console)

    def trained(settings, until, held_out, watcher):
        watcher.begin(Plan(epochs=32, steps=4, batch=10, done=0))
        watcher.step(State(epoch=until - 1, step=2))
        return pretend(settings, until, held_out)

    search_in(tmp_path, progress=bar, run=trained).go()
    bar.progress.refresh()
    bar.close()
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "rung 1 of 3" in shown
    assert "best net8 94.0%" in shown


def test_lines_say_the_best_of_the_whole_study(capsys):
    lines = Lines()
    lines.rung("rung 1 of 3", 2)
    lines.reached("a", 0.9)
    lines.rung("rung 2 of 3", 1)
    lines.reached("b", 0.8)
    assert "best so far: a 90.00%" in capsys.readouterr().err.splitlines()[-1]


def test_where_training_is_so_short_that_rungs_fall_together_nobody_is_left_behind_for_nothing(tmp_path):
    search = search_in(tmp_path, settings={"training": {"epochs": 1, "batch": 100}})
    search.go()
    assert {each.status for each in search.reached().values()} == {"finished"}
