import io
import shutil
import zipfile
from importlib import util

import numpy as np
import pytest

import convlens
from convlens.artifacts import FORMATS, manifest
from convlens.artifacts.manifest import ArtifactError
from convlens.errors import ConvlensError
from convlens.predicting import rank, runtimes
from convlens.untrusted.pickles import seal_archive

ALL = tuple(FORMATS)


def test_a_run_and_its_folder_answer_the_same(run, x_nchw):
    predictor = convlens.load(run.path)
    np.testing.assert_array_equal(predictor.probabilities(x_nchw), run.predictor(device="cpu").probabilities(x_nchw))


def test_onnx_runs_on_openvino_too(artifacts, x_nchw):
    onnx, openvino = (convlens.load(artifacts("onnx"), runtime=name) for name in ("onnxruntime", "openvino"))
    assert (onnx.runtime, openvino.runtime) == ("onnxruntime", "openvino")
    np.testing.assert_allclose(openvino.probabilities(x_nchw), onnx.probabilities(x_nchw), atol=1e-5)


def test_a_run_is_converted_once_for_another_runtime(run, x_nchw, tmp_path, monkeypatch):
    expected = run.predictor(device="cpu").probabilities(x_nchw)
    first = convlens.load(run.path, runtime="onnxruntime")
    np.testing.assert_allclose(first.probabilities(x_nchw), expected, atol=1e-5)
    monkeypatch.setattr("convlens.shipping.exporting.export", None)  # the second time it comes from the cache
    second = convlens.load(run.path, runtime="onnxruntime")
    np.testing.assert_allclose(second.probabilities(x_nchw), expected, atol=1e-5)
    assert len(list((tmp_path / "cache" / "artifacts").iterdir())) == 1


def test_predict_takes_files_and_arrays(artifacts, digits, tmp_path):
    from PIL import Image

    for number in range(3):
        Image.fromarray(digits[number][:, :, 0]).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    predictor = convlens.load(artifacts("onnx"))
    from_files, from_arrays = predictor.predict(tmp_path), predictor.predict(digits[:3], top=5, batch=2)
    assert [a.classes[0].label for a in from_files[:3]] == [a.classes[0].label for a in from_arrays]
    assert "not an image" in str(from_files[3].error)
    assert [answer.file for answer in from_arrays] == ["image 0", "image 1", "image 2"]
    assert predictor.predict(digits[0])[0].classes[0].label == from_arrays[0].classes[0].label


class Wavering:
    """An engine whose scores move a little with the size of the batch, as those of matrix kernels do."""

    def __call__(self, x):
        scores = 3 * x[:, 0, 4:24, 4:24].reshape(len(x), 10, -1).mean(2, dtype=np.float64)
        scores += 1e-5 * np.sin(1e4 * scores) if len(x) > 1 else 0
        odds = np.exp(scores)
        return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


def test_arrays_are_answered_as_files_are_and_as_each_alone(artifacts, tmp_path):
    from PIL import Image

    predictor = convlens.load(artifacts("onnx"))
    predictor.engine = Wavering()
    images = list(np.random.default_rng(0).integers(0, 256, (600, 8, 8, 1), np.uint8))
    for number, image in enumerate(images):
        Image.fromarray(image[:, :, 0]).save(tmp_path / f"{number:03}.png")
    together = [answer.classes for answer in predictor.predict(images, batch=50)]
    alone = [predictor.predict(image)[0].classes for image in images]
    assert together == alone
    assert together == [answer.classes for answer in predictor.predict(tmp_path, batch=37)]
    x = np.stack([predictor.preprocessing.apply(image) for image in images])
    assert [rank(row, predictor.classes, 5) for row in predictor.probabilities(x)] != alone  # it does matter here


@pytest.mark.parametrize(("asked", "message"), [({"top": 0}, "top is 0"), ({"batch": 0}, "batch is 0")])
def test_arrays_with_impossible_wishes(artifacts, digits, asked, message):
    with pytest.raises(ConvlensError, match=message):
        convlens.load(artifacts("onnx")).predict(digits[:2], **asked)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((3, 8, 8), np.uint8), r"an array of shape \(3, 8, 8\); give \(H, W, C\) with 1 or 3 channels"),
        ([1.5], "float is not an image; give paths"),
    ],
)
def test_images_that_do_not_fit(artifacts, images, message):
    with pytest.raises(ConvlensError, match=message):
        convlens.load(artifacts("onnx")).predict(images)


def test_preprocessed_images_that_do_not_fit(artifacts):
    with pytest.raises(ConvlensError, match=r"shape \(N, 1, 32, 32\), not \(2, 3, 32, 32\)"):
        convlens.load(artifacts("onnx")).probabilities(np.zeros((2, 3, 32, 32), np.float32))


def test_no_images(artifacts):
    assert convlens.load(artifacts("onnx")).probabilities(np.zeros((0, 1, 32, 32), np.float32)).shape == (0, 10)


@pytest.mark.parametrize("to", ALL)
def test_truncated(artifacts, tmp_path, to):
    path = artifacts(to)
    for file in path.parent.glob(f"{path.stem}.*"):
        shutil.copy(file, tmp_path)
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ArtifactError, match="truncated"):
        convlens.load(copy)


def test_openvino_weights_that_are_damaged_or_missing(artifacts, tmp_path):
    path = artifacts("openvino")
    for file in (path, path.with_suffix(".bin")):
        shutil.copy(file, tmp_path)
    weights = tmp_path / f"{path.stem}.bin"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ArtifactError, match="of another model; copy both files again"):
        convlens.load(tmp_path / path.name)
    weights.unlink()
    with pytest.raises(ArtifactError, match=r"needs digits.bin beside it, which is missing"):
        convlens.load(tmp_path / path.name)


@pytest.mark.parametrize(
    ("classes", "message"),
    [("5", "has an entry 'classes' that cannot be: 5"), ('["a", "b"]', "does not name one class for each output")],
)
def test_classes_that_do_not_fit_the_network(run, classes, message):
    strings = run.export("safetensors").manifest.to_strings() | {"convlens.classes": classes}
    with pytest.raises(ArtifactError, match=rf"net\.onnx {message}"):
        manifest.Manifest.from_strings(strings, "net.onnx")


def test_newer_version(run, tmp_path, monkeypatch):
    written = run.export("safetensors", out=tmp_path / "new.safetensors")
    monkeypatch.setattr(manifest, "FORMAT", 0)
    with pytest.raises(ArtifactError, match=r"newer Convlens .* upgrade convlens"):
        convlens.load(written.path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("photo.jpg", "there is nothing at .*photo.jpg"),
        ("net.onnx", "no such file"),
        ("net.pth", "holds weights, not a network; .* --weights net.pth"),
    ],
)
def test_what_is_no_artifact(tmp_path, name, message):
    with pytest.raises(ConvlensError, match=message):
        convlens.load(tmp_path / name)


def test_weights_of_a_run_have_no_classes(run):
    with pytest.raises(ArtifactError, match="neither its classes nor its preprocessing"):
        convlens.load(run.folder.weights_path())


def test_onnx_of_somebody_else(tmp_path):
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:])
    (tmp_path / "net.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(ArtifactError, match="not an artifact of convlens; make one with convlens export"):
        convlens.load(tmp_path / "net.onnx")


def test_a_pickle_in_an_archive_is_not_opened(artifacts, tmp_path):
    path = tmp_path / "evil.pt2"
    buffer = io.BytesIO()
    with zipfile.ZipFile(artifacts("torch")) as source, zipfile.ZipFile(buffer, "w") as target:
        for entry in source.namelist():
            content = b"cos\nsystem\n" if entry.endswith("sample_inputs/model.pt") else source.read(entry)
            target.writestr(entry, content)
    path.write_bytes(seal_archive(buffer.getvalue()))
    with pytest.raises(ArtifactError, match=r"holds a pickle .* it was not opened"):
        convlens.load(path)


def test_runtimes_that_are_unknown_unfit_or_missing(artifacts, monkeypatch):
    with pytest.raises(ConvlensError, match="unknown runtime 'openvinoo'; did you mean openvino"):
        convlens.load(artifacts("onnx"), runtime="openvinoo")
    with pytest.raises(ConvlensError, match="cannot run on torch; use onnxruntime or openvino"):
        convlens.load(artifacts("onnx"), runtime="torch")
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None if name == "openvino" else util.find_spec(name))
    with pytest.raises(ConvlensError, match=r"'openvino' is not installed; pip install 'convlens\[ship\]'"):
        convlens.load(artifacts("onnx"), runtime="openvino")


@pytest.mark.parametrize("arguments", [{"threads": 0}, {"device": "cuda"}])
def test_settings_that_do_not_fit(artifacts, arguments):
    with pytest.raises(ConvlensError, match=r"use at least 1|runs on the processor"):
        convlens.load(artifacts("onnx"), **arguments)
