import os
import time
from pathlib import Path

import pytest

from convlens.predicting.apart import Apart, Subject


def state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.slow
def test_each_has_a_process_of_its_own_and_those_that_wait_are_stopped(artifacts, tmp_path):
    subjects = {
        "torch": Subject(source=str(artifacts("safetensors")), runtime="torch", threads=1),
        "onnx": Subject(source=str(artifacts("onnx")), runtime="onnxruntime", threads=1),
        "none": Subject(source=str(tmp_path / "none.onnx"), runtime="onnxruntime", threads=1),
    }
    with Apart(subjects) as apart:
        pids = {name: process._process.pid for name, process in apart._processes.items()}
        assert set(pids) == {"torch", "onnx"}
        assert len({*pids.values(), os.getpid()}) == 3
        assert "none.onnx" in apart.refused["none"]
        timings = apart.time(2, 0.3)
        assert set(timings) == {"torch", "onnx"}
        for timing in timings.values():
            assert 0 < timing.best <= timing.p50 <= timing.p95
            assert timing.calls >= 6 * 3
        if Path("/proc/self/stat").exists():
            time.sleep(0.05)
            assert [state(pid) for pid in pids.values()] == ["T", "T"]
    for pid in pids.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.slow
def test_a_process_that_dies_is_said(artifacts):
    with Apart({"torch": Subject(source=str(artifacts("safetensors")), runtime="torch", threads=1)}) as apart:
        os.kill(apart._processes["torch"]._process.pid, 9)
        with pytest.raises(Exception, match=r"on torch: the process that ran it ended \(exit code -9\)"):
            apart.time(1, 0.1)
