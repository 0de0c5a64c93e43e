"""A study whose trainings run on a cluster, one of whose nodes is killed, and the same study on one machine."""

import pytest

pytest.importorskip("optuna", reason="needs the extra choose")

from convlens.choosing.choose import Asked, choose
from convlens.choosing.limits import Limits
from convlens.choosing.study_progress import choose_progress
from convlens.cluster.trials import trials_on_ray

TRAINING = {"epochs": 4, "batch": 128, "tune": False, "precision": "float32"}


def asked(study):
    return Asked(
        data="digits", networks="lenet5,mlp", limits=Limits.read({}), weights=False, study=study, training=TRAINING
    )


def table(found):
    """What trainings decide; latency and memory are measured anew."""
    return sorted(
        (entry.name, entry.status, entry.epochs, entry.val_top1, entry.top1, entry.seeds, str(entry.run))
        for entry in found.entries
    )


def test_a_killed_node_changes_nothing_in_the_table(cluster, another_node, tmp_path):
    here = choose(asked(tmp_path / "here"), choose_progress(True), lambda _: None)
    killed = []
    with trials_on_ray(cluster.address) as trials:

        def run(*call):
            if not killed:  # the rung's trainings are under way on both nodes
                killed.append(cluster.remove_node(another_node, allow_graceful=False))
            return trials.run(*call)

        there = choose(asked(tmp_path / "there"), choose_progress(True), lambda _: None, run=run, begin=trials.begin)
    assert killed
    assert table(there) == table(here)
    assert there.recommended == here.recommended
