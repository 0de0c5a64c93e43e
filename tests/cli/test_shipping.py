"""`export`, `benchmark`, and the commands that take an artifact where they take a run, as a user types them."""

import json

import pytest
from PIL import Image

import convlens
from convlens.cli.main import main
from convlens.data import open_dataset


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return convlens.train("digits", network="lenet5", epochs=5, seed=0, runs=str(root), name="digits", quiet=True).path


@pytest.fixture(scope="module")
def artifact(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("shipped") / "digits.onnx"
    assert main(["export", str(run), "--to", "onnx", "--out", str(path), "--quiet"]) == 0
    return path


def test_export_says_what_it_wrote_and_how_it_was_proved(run, tmp_path, capsys):
    out = tmp_path / "my net.safetensors"
    assert main(["export", str(run), "--to", "safetensors", "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert "MB, float32, 10 classes" in told.out
    assert "proved on 64 images of digits, in batches of 1, 3, 16: probabilities differ by at most" in told.out
    assert f"convlens predict '{out}' PHOTO.jpg" in told.out  # as a shell takes it
    assert "the preprocessing stays outside" in told.err


def test_export_json_is_json_alone(run, tmp_path, capsys):
    out = tmp_path / "net.safetensors"
    assert main(["export", str(run), "--to", "safetensors", "--precision", "auto", "--out", str(out), "--json"]) == 0
    told = capsys.readouterr()
    written = json.loads(told.out)
    assert written["path"] == str(out)
    assert {c["precision"] for c in written["choice"]["candidates"]} == {"float32", "bfloat16"}
    assert "bfloat16:" in told.err


def test_three_runtimes_give_one_answer(run, artifact, tmp_path, capsys):
    dataset = open_dataset("digits")
    for number, record in enumerate(dataset.records("test")[:12]):
        Image.fromarray(dataset.read(record, channels=1)[:, :, 0]).save(tmp_path / f"{number:02}.png")
    answers = []
    for source, runtime in ((run, "torch"), (artifact, "onnxruntime"), (artifact, "openvino")):
        assert main(["predict", str(source), str(tmp_path), "--runtime", runtime, "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out)["predictions"])
    for first, *others in zip(*answers, strict=True):
        for other in others:
            assert other["file"] == first["file"]
            for guess, same in zip(first["classes"], other["classes"], strict=True):
                assert same["probability"] == pytest.approx(guess["probability"], abs=2e-4)
            assert other["classes"][0]["label"] == first["classes"][0]["label"]


def test_evaluate_takes_an_artifact(artifact, capsys):
    assert main(["evaluate", str(artifact), "digits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 360


def test_evaluate_wants_data_for_an_artifact(artifact, capsys):
    assert main(["evaluate", str(artifact)]) == 2
    assert "does not know where its data are; name them: convlens evaluate" in capsys.readouterr().err


def test_benchmark(artifact, tmp_path, capsys):
    words = ["benchmark", str(artifact), "--batch", "1", "--threads", "1", "--seconds", "0.01", "--no-memory"]
    assert main([*words, "--out", str(tmp_path / "bench")]) == 0
    told = capsys.readouterr()
    assert "digits.onnx, batch 1" in told.out
    assert "onnxruntime float32" in told.out
    assert "measured peaks" in told.out
    assert "costliest:" in told.out
    assert sorted(path.name for path in (tmp_path / "bench").iterdir()) == [
        "benchmark.csv",
        "benchmark.json",
        "benchmark.png",
    ]
    assert main([*words, "--json", "--quiet"]) == 0
    told = capsys.readouterr()
    assert {row["runtime"] for row in json.loads(told.out)["rows"]} == {"onnxruntime", "openvino"}
    assert told.err == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["export", "lenet5", "--to", "onx"], "unknown format 'onx'; did you mean onnx?"),
        (["export", "lenet5", "--to", "onnx", "--classes", "missing.txt"], "class names missing.txt cannot be read"),
        (["export", "missing", "--to", "onnx"], "unknown network, run or artifact 'missing'"),
        (["benchmark"], "nothing to measure; name runs, artifacts or networks"),
        (["benchmark", "lenet5", "--batch", "one"], "--batch one: use whole numbers with commas, such as 1,8,32"),
        (["benchmark", "lenet5", "--claim"], "--claim measures two networks of its own"),
        (["predict", "missing.onnx", "a.png"], "no such file: missing.onnx"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(words, message, capsys):
    assert main(words) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
