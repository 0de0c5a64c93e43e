import os

import pytest

from convlens.processors import available_processors


@pytest.fixture(autouse=True)
def _sixteen(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


def _root(tmp_path, cgroup, **contents):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(cgroup)
    for path, text in contents.items():
        file = tmp_path / "sys/fs/cgroup" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def test_without_control_groups_the_affinity_decides(tmp_path):
    assert available_processors(tmp_path) == 16


@pytest.mark.parametrize(
    ("text", "count"), [("max 100000", 16), ("400000 100000", 4), ("150000 100000", 1), ("20000 100000", 1)]
)
def test_version_2(tmp_path, text, count):
    root = _root(tmp_path, "0::/\n", **{"cpu.max": text})
    assert available_processors(root) == count


def test_a_group_above_may_be_the_stricter_one(tmp_path):
    root = _root(tmp_path, "0::/pod/box\n", **{"pod/cpu.max": "200000 100000", "pod/box/cpu.max": "max 100000"})
    assert available_processors(root) == 2


def test_version_1(tmp_path):
    files = {"cpu,cpuacct/box/cpu.cfs_quota_us": "300000\n", "cpu,cpuacct/box/cpu.cfs_period_us": "100000\n"}
    root = _root(tmp_path, "3:memory:/box\n2:cpu,cpuacct:/box\n", **files)
    assert available_processors(root) == 3
