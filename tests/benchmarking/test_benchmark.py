import csv
import io
import json

import pytest

from convlens.benchmarking.benchmark import Benchmark, Row, benchmark
from convlens.benchmarking.benchmark_report import as_csv, write_report
from convlens.benchmarking.footprint import measure_memory
from convlens.benchmarking.machine import Machine, measure_machine
from convlens.errors import ConvlensError
from convlens.lessons.claim import comparisons

VARIANTS = {
    ("torch", "float32"),
    ("torch", "bfloat16"),
    ("onnxruntime", "float32"),
    ("onnxruntime", "int8"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("openvino", "int8"),
    ("engine", "float32"),
    ("engine", "bfloat16"),
    ("engine", "int8"),
}


@pytest.fixture(scope="module")
def done(run):
    return benchmark([run.path], batches=[2, 1], threads=1, data="digits", seconds=0.02, memory=False, layers=3)


@pytest.mark.slow
def test_every_runtime_and_precision_is_measured_at_every_batch(done):
    found = [(row.runtime, row.precision, row.batch) for row in done.rows]
    assert len(found) == len(set(found))
    assert set(found) == {(*variant, batch) for variant in VARIANTS for batch in (1, 2)}
    for row in done.rows:
        assert 0 < row.best_ms <= row.p50_ms <= row.p95_ms
        assert row.images_per_second == pytest.approx(1000 * row.batch / row.p50_ms)
        assert row.bandwidth_share > 0
        assert row.top1_low < row.top1 < row.top1_high
        assert row.file_bytes > 50_000
    assert done.accuracy_on == "360 images of digits, split test"


@pytest.mark.slow
def test_float32_on_every_runtime_has_the_accuracy_of_the_run(done):
    plain = {row.runtime: row.top1 for row in done.rows if row.precision == "float32"}
    assert len(set(plain.values())) == 1


@pytest.mark.slow
def test_the_costliest_layers_are_layers_of_the_network(done, run):
    modules = {name for name, _ in run.network().named_modules()}
    for name, layers in done.layers.items():
        assert len(layers) == 3
        assert layers[0].layer in modules, name
        assert 1 > layers[0].share >= layers[1].share >= layers[2].share > 0


@pytest.mark.slow
def test_the_report(done, tmp_path):
    table, values, figure = write_report(done, tmp_path / "bench")
    rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"))))
    assert [float(row["p50_ms"]) for row in rows] == [row.p50_ms for row in done.rows]
    assert json.loads(values.read_text())["machine"]["threads"] == 1
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_the_share_of_the_peak_is_arithmetic_over_time_over_peak(artifacts):
    done = benchmark([artifacts("onnx")], runtimes=["onnxruntime"], batches=[4], threads=1, seconds=0.01, memory=False)
    (row,) = done.rows
    macs = (
        416_520  # of LeNet-5 with its two 5×5 convolutions and three linear layers, recomputed by the networks' tests
    )
    expected = 2 * macs * 4 / (row.p50_ms / 1000) / (done.machine.operations["float32"] * 1e9)
    assert row.arithmetic_share == pytest.approx(expected)
    assert row.network == "digits.onnx"
    assert row.top1 is None
    assert next(csv.DictReader(io.StringIO(as_csv(done))))["top1"] == ""


def test_memory_grows_with_the_batch_and_holds_the_weights(artifacts):
    peaks = measure_memory(artifacts("onnx"), "onnxruntime", 1, [256, 1])
    assert list(peaks) == [1, 256]
    assert artifacts("onnx").stat().st_size < peaks[1] < peaks[256] < 500e6


def test_the_machine_is_at_its_best_of_two_measurements():
    quiet, loaded = (
        Machine(processor="x", threads=1, operations={"float32": a}, bandwidth=b) for a, b in ((9.0, 1.0), (5.0, 2.0))
    )
    best = loaded.at_best(quiet)
    assert (best.operations, best.bandwidth) == ({"float32": 9.0}, 2.0)


def test_the_machine_is_measured():
    machine = measure_machine(1, seconds=0.01)
    assert set(machine.operations) >= {"float32", "bfloat16"}
    assert min(*machine.operations.values(), machine.bandwidth) > 0.1


def test_the_claim_is_the_papers_row_and_one_for_each_runtime():
    machine = Machine(processor="x", threads=1, operations={}, bandwidth=1.0)
    speeds = [("resnet152", "torch", 200.0), ("efficientnet_b1", "torch", 40.0), ("resnet152", "openvino", 90.0)]
    rows = tuple(
        Row(
            network=network,
            runtime=runtime,
            precision="float32",
            batch=1,
            p50_ms=milliseconds,
            p95_ms=milliseconds,
            best_ms=milliseconds,
            images_per_second=1000 / milliseconds,
            arithmetic_share=None,
            bandwidth_share=0.1,
            memory_bytes=None,
            file_bytes=1,
        )
        for network, runtime, milliseconds in speeds
    )
    paper, ours = comparisons(Benchmark(machine=machine, versions={}, rows=rows, layers={}))
    assert (paper.runtime, round(paper.ratio, 1)) == ("the paper", 5.7)
    assert (ours.runtime, ours.ratio) == ("torch", 5.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sources": []}, "nothing to measure; name runs, artifacts or networks"),
        ({"batches": [0]}, "batch is 0; use whole numbers from 1"),
        ({"threads": 0}, "threads is 0"),
        ({"seconds": 0}, "seconds is 0"),
        ({"runtimes": ["openvin"]}, "unknown runtime 'openvin'; did you mean openvino"),
        ({"precisions": ["int9"]}, "unknown precision 'int9'; did you mean int8"),
        (
            {"runtimes": ["onnxruntime"], "precisions": ["bfloat16"], "sources": ["lenet5"]},
            "nothing to measure: no runtime",
        ),
        ({"sources": ["lenet6"]}, "unknown network, run or artifact 'lenet6'; did you mean lenet5"),
    ],
)
def test_what_cannot_be_measured(arguments, message):
    with pytest.raises(ConvlensError, match=message):
        benchmark(**{"sources": ["lenet5"], "seconds": 0.01} | arguments)
