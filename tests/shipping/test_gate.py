import json
import subprocess
import sys

import numpy as np
import pytest

import convlens
from convlens import shipping
from convlens.artifacts import FORMATS
from convlens.errors import ConvlensError
from convlens.predicting.measuring import Timing, interleave
from convlens.shipping import selecting
from convlens.shipping.labelled import Labelled
from convlens.shipping.precision_gate import choose, drop_interval

COUNT = 1000


def answers(wrong):
    """An engine that is right about all but `wrong` of the images."""

    def engine(x):
        label = x[:, 0, 0, 0].astype(int)
        number = x[:, 0, 0, 1].astype(int)
        return np.eye(2)[np.where(number < wrong, 1 - label, label)].astype(np.float32)

    return engine


def images():
    x = np.zeros((COUNT, 1, 1, 2), np.float32)
    y = np.arange(COUNT) % 2
    x[:, 0, 0, 0], x[:, 0, 0, 1] = y, np.arange(COUNT)
    return Labelled(x=x, y=y, origin="1000 drawn images")


def gate(wrong, milliseconds, max_drop=0.5):
    timings = {name: Timing(p50=value, p95=value, calls=9) for name, value in milliseconds.items()}
    engines = {name: answers(count) for name, count in wrong.items()}
    choice = choose(engines, timings, images(), max_drop=max_drop, batch=1, threads=1)
    return choice.precision, {c.precision: c.verdict for c in choice.candidates}


def test_the_fastest_whose_accuracy_holds_is_chosen():
    chosen, verdicts = gate({"float32": 10, "bfloat16": 10, "int8": 14}, {"float32": 8.0, "bfloat16": 5.0, "int8": 3.0})
    assert chosen == "int8"
    assert verdicts == {
        "float32": "rejected: slower than int8 (3.00 ms)",
        "bfloat16": "rejected: slower than int8 (3.00 ms)",
        "int8": "chosen",
    }


def test_a_worse_variant_is_rejected_however_fast():
    chosen, verdicts = gate({"float32": 10, "bfloat16": 10, "int8": 16}, {"float32": 8.0, "bfloat16": 5.0, "int8": 1.0})
    assert (chosen, verdicts["int8"]) == ("bfloat16", "rejected: loses more than 0.5 points")


def test_a_slower_variant_is_rejected_however_good():
    chosen, verdicts = gate({"float32": 10, "int8": 0}, {"float32": 8.0, "int8": 9.5})
    assert (chosen, verdicts["int8"]) == ("float32", "rejected: not faster here than float32 (8.00 ms)")


def test_a_gain_that_is_noise_is_none():
    assert gate({"float32": 0, "int8": 0}, {"float32": 8.0, "int8": 7.9})[0] == "float32"


def test_the_bound_is_the_users():
    wrong, milliseconds = {"float32": 10, "int8": 40}, {"float32": 8.0, "int8": 1.0}
    assert gate(wrong, milliseconds, max_drop=3.0)[0] == "int8"
    assert gate(wrong, milliseconds, max_drop=2.9)[0] == "float32"


def test_the_interval_of_a_drop():
    base = np.ones(1000, bool)
    worse = base.copy()
    worse[:20] = False
    drop, low, high = drop_interval(worse, base)
    assert drop == 2.0
    assert 1.0 < low < 2.0 < high < 3.1
    better, _, _ = drop_interval(base, worse)
    assert better == -2.0


def test_timing_takes_turns_and_begins_each_round_with_another():
    ticks, order = iter(range(10_000)), []
    calls = {name: (lambda n=name: order.append(n)) for name in "abc"}
    timings = interleave(calls, seconds=0, least=4, clock=lambda: float(next(ticks)))
    assert "".join(order) == "abc" + "abc" + "bca" + "cab" + "abc"
    assert {timing.calls for timing in timings.values()} == {4}
    assert {timing.p50 for timing in timings.values()} == {1000.0}


@pytest.mark.slow
@pytest.mark.parametrize("to", ["onnx", "openvino", "plan"])
def test_int8_is_calibrated_on_the_users_images_and_bounded(run, artifacts, x_nchw, tmp_path, to):
    for package in FORMATS[to].packages:
        pytest.importorskip(package)
    out = tmp_path / f"small{FORMATS[to].suffixes[0]}"
    notes = []
    written = shipping.export(run.path, to, out=out, precision="int8", max_drop=3.0, on_note=notes.append)
    predictor = convlens.load(written.path)
    assert predictor.precision == "int8"
    most = (
        1 if to == "plan" else 0.7
    )  # a plan keeps fully connected layers, which are most of this network, as they are
    assert sum(file.stat().st_size for file in written.files) < most * sum(
        artifacts(to).with_suffix(suffix).stat().st_size for suffix in FORMATS[to].suffixes
    )
    choice = written.manifest.choice
    assert choice["images"] == "180 images of digits, split val"
    drop = next(c["drop"] for c in choice["candidates"] if c["precision"] == "int8")
    assert drop <= 3.0
    assert any("times as fast here as float32" in note for note in notes)
    expected = run.predictor(device="cpu").probabilities(x_nchw).argmax(axis=1)
    assert (predictor.probabilities(x_nchw).argmax(axis=1) == expected).mean() > 0.85
    assert json.dumps(written.to_dict())


def test_auto_says_what_it_rejected(run, tmp_path):
    written = run.export("safetensors", out=tmp_path / "auto.safetensors", precision="auto")
    names = [candidate["precision"] for candidate in written.manifest.choice["candidates"]]
    assert names == ["float32", "bfloat16"]
    assert [c["verdict"] for c in written.manifest.choice["candidates"]].count("chosen") == 1


def test_precisions_are_timed_in_processes_of_their_own(run, tmp_path, monkeypatch):
    timed = {}

    def measure(subjects, batch, seconds):
        timed.update(subjects)
        return {name: Timing(p50=9.0 if name == "float32" else 1.0, p95=9.0, calls=9) for name in subjects}, {}

    monkeypatch.setattr(selecting, "measure_apart", measure)
    out = tmp_path / "auto.safetensors"
    written = shipping.export(run.path, "safetensors", out=out, precision="auto", max_drop=100)
    assert written.manifest.precision == "bfloat16"
    assert list(timed) == ["float32", "bfloat16"]
    assert {subject.source.rpartition("/")[2] for subject in timed.values()} == {
        "float32.safetensors",
        "bfloat16.safetensors",
    }


def test_int8_without_images_of_ones_own():
    with pytest.raises(ConvlensError, match="calibrated and measured on your own images, never on others; give them"):
        shipping.export("lenet5", "openvino", precision="int8")


def test_calibration_data_with_other_classes(run, tmp_path):
    from PIL import Image

    for label in ("cat", "dog"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for number in range(8):
            Image.new("L", (9, 9), 30 * number).save(tmp_path / "pets" / label / f"{number}.png")
    with pytest.raises(ConvlensError, match=r"has the classes 'cat', 'dog' and the network knows .* none in common"):
        shipping.export(run.path, "openvino", precision="int8", data=tmp_path / "pets")


@pytest.mark.parametrize("max_drop", [-0.1, 101])
def test_a_bound_that_makes_no_sense(run, max_drop):
    with pytest.raises(ConvlensError, match=f"max_drop is {max_drop} points; use 0 to 100"):
        shipping.export(run.path, "openvino", precision="auto", max_drop=max_drop)


@pytest.mark.slow
def test_nothing_reports_its_use_over_the_network(tmp_path):
    code = (
        "from convlens.predicting.untracked import untracked; untracked('openvino').Core(); untracked('nncf');"
        "import sys; sys.exit(sys.modules['openvino_telemetry'] is not None)"
    )
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(filter(None, sys.path))}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    assert not (tmp_path / "intel").exists()


def test_onnx_runtime_keeps_no_identity_and_reports_nothing(artifacts, tmp_path):
    path = artifacts("onnx")
    code = f"from convlens.predicting.engines import onnx_session; onnx_session(open({str(path)!r}, 'rb').read(), 1)"
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert not list(tmp_path.rglob("*onnxruntime*"))  # it would keep a device id and what it is to send
