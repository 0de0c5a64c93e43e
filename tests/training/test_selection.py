import pytest
from hypothesis import given
from hypothesis import strategies as st

from convlens.training.selection import improves, keeps, standard_error


def row(figure, log_loss=1.0):
    return {"val_top1": figure, "val_macro_f1": figure, "val_log_loss": log_loss}


def kept(figures, monitor="top1", images=100):
    """The epoch, from 0, whose weights are there in the end."""
    rows = [figure if isinstance(figure, dict) else row(figure) for figure in figures]
    return max(i for i in range(len(rows)) if keeps(rows[i], rows[:i], monitor, images))


@pytest.mark.parametrize("monitor", ["top1", "macro_f1"])
def test_of_epochs_that_chance_cannot_tell_apart_the_latest_is_kept(monitor):
    assert kept([0.5, 0.9, 0.88, 0.8], monitor) == 2  # 90 % of 100 images: one standard error is 3 points
    assert kept([0.5, 0.9, 0.88, 0.8], monitor, images=10_000) == 1  # 0.3 points
    assert kept([0.9, 1.0, 0.9], monitor, images=10) == 1  # 8.7 points: one image more is not chance
    assert kept([0.9, 0.91, 0.92, 0.93], monitor) == 3


def test_what_is_kept_is_measured_by_the_best_and_never_creeps_down():
    falling = [0.9, 0.88, 0.86, 0.84, 0.82, 0.8]
    assert kept(falling) == 1


def test_log_loss_has_no_tolerance():
    rows = [row(0.5, 1.0), row(0.6, 0.4), row(0.9, 0.41)]
    assert kept(rows, "log_loss") == 1
    assert kept(rows, "top1") == 2


def test_without_validation_images_the_last_epoch_is_kept_and_nothing_is_stale():
    assert keeps({"loss": 2.0}, [{"loss": 1.0}], "top1", 0)
    assert improves({"loss": 2.0}, [{"loss": 1.0}], "top1")


def test_what_improves_beats_all_before_it():
    before = [row(0.5), row(0.9, 0.5), row(0.7)]
    assert improves(row(0.91, 9.0), before, "top1")
    assert improves(row(0.9, 0.4), before, "top1")
    assert not improves(row(0.9, 0.5), before, "top1")
    assert not improves(row(0.89, 0.1), before, "top1")
    assert improves(row(0.89, 0.1), before, "log_loss")


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30))
def test_it_is_the_latest_epoch_within_one_standard_error_of_the_best_of_all(right):
    figures = [count / 40 for count in right]
    lowest = max(figures) - standard_error(max(figures), 40)
    assert kept(figures, images=40) == max(i for i, figure in enumerate(figures) if figure >= lowest)
