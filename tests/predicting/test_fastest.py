import json

import pytest

import convlens
from convlens.errors import ConvlensError
from convlens.predicting import fastest as room
from convlens.predicting.measuring import Timing


@pytest.fixture
def timings(monkeypatch):
    """What the runtimes are said to take; the test changes it, and sees which were measured."""
    said, asked = {"onnxruntime": 2.0, "openvino": 1.0}, []

    def measure(subjects, _batch, _seconds):
        asked.append(sorted(subjects))
        return {name: Timing(p50=said[name], p95=said[name], calls=7) for name in subjects}, {}

    monkeypatch.setattr(room.fastest, "__kwdefaults__", {"measure": measure})
    return said, asked


def test_the_fastest_is_taken_and_remembered(artifacts, timings):
    said, asked = timings
    first = convlens.load(artifacts("onnx"), runtime="auto", threads=1)
    assert first.runtime == "openvino"
    assert first.facts["runtime_choice"]["milliseconds"] == {"onnxruntime": 2.0, "openvino": 1.0}
    said["onnxruntime"] = 0.1
    again = convlens.load(artifacts("onnx"), runtime="auto", threads=1)
    assert (again.runtime, again.facts["runtime_choice"]["remembered"]) == ("openvino", True)
    assert asked == [["onnxruntime", "openvino"]]


def test_another_batch_is_another_question(artifacts, timings):
    said, asked = timings
    convlens.load(artifacts("onnx"), runtime="auto", threads=1, batch=1)
    said["onnxruntime"] = 0.1
    assert convlens.load(artifacts("onnx"), runtime="auto", threads=1, batch=8).runtime == "onnxruntime"
    assert len(asked) == 2


def test_a_damaged_memory_is_made_anew(artifacts, timings, tmp_path):
    memory = tmp_path / "cache" / "runtimes.json"
    memory.parent.mkdir()
    memory.write_text("{")
    assert convlens.load(artifacts("onnx"), runtime="auto", threads=1).runtime == "openvino"
    assert len(json.loads(memory.read_text())) == 1


def test_a_real_measurement(artifacts):
    choice = convlens.load(artifacts("onnx"), runtime="auto", threads=1).facts["runtime_choice"]
    assert choice["runtime"] == min(choice["milliseconds"], key=choice["milliseconds"].get)


def test_a_batch_of_none(artifacts):
    with pytest.raises(ConvlensError, match="batch is 0; use at least 1"):
        convlens.load(artifacts("onnx"), runtime="auto", batch=0)
