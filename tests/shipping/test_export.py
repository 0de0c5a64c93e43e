import json

import numpy as np
import pytest
import torch

import convlens
from convlens import shipping
from convlens.artifacts import FORMATS, format_onnx, onnx_preprocessing
from convlens.artifacts.proof import ProofError
from convlens.errors import ConvlensError
from convlens.images import Preprocessing
from convlens.shipping import exporting

ALL = tuple(FORMATS)


@pytest.mark.parametrize("to", ALL)
@pytest.mark.parametrize("batch", [1, 3, 16])
def test_an_artifact_answers_as_the_run_does(run, artifacts, x_nchw, to, batch):
    expected = run.predictor(device="cpu").probabilities(x_nchw)
    predictor = convlens.load(artifacts(to), threads=1)
    found = np.concatenate([predictor.probabilities(x_nchw[i : i + batch]) for i in range(0, len(x_nchw), batch)])
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("to", ALL)
def test_an_artifact_carries_what_belongs_to_the_network(run, artifacts, to):
    predictor = convlens.load(artifacts(to))
    assert predictor.classes == run.classes == tuple("0123456789")
    assert predictor.preprocessing == run.folder.preprocessing
    info = predictor.info()
    assert info["network"] == "lenet5"
    assert info["run"]["name"] == "digits"
    assert info["run"]["data_fingerprint"] == run.folder.fingerprint
    assert info["weights_licence"]
    assert info["proof"]["images"] >= 64
    assert info["proof"]["batches"] == [1, 3, 16]
    assert info["proof"]["largest_difference"] < 1e-4


def test_onnx_serves_a_client_that_knows_nothing_of_convlens(run, artifacts, digits):
    import onnxruntime

    session = onnxruntime.InferenceSession(artifacts("onnx"), providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(uint8)", ["batch", "height", "width", 1])
    classes = json.loads(session.get_modelmeta().custom_metadata_map["convlens.classes"])
    (probabilities,) = session.run(None, {"image": np.stack(digits)})
    expected = [answer.classes[0].label for answer in convlens.load(run.path, threads=1).predict(digits)]
    assert [classes[i] for i in probabilities.argmax(axis=1)] == expected


def test_openvino_serves_a_client_that_knows_nothing_of_convlens(run, artifacts, digits):
    import openvino

    core = openvino.Core()
    model = core.read_model(artifacts("openvino"))
    classes = json.loads(model.get_rt_info(["convlens", "classes"]).astype(str))
    assert model.get_rt_info(["model_info", "labels"]).astype(str) == " ".join(classes)
    preprocessing = convlens.load(run.path).preprocessing
    x = np.stack([preprocessing.apply(digit) for digit in digits])
    probabilities = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([x])[0]
    expected = [answer.classes[0].label for answer in convlens.load(run.path, threads=1).predict(digits)]
    assert [classes[i] for i in probabilities.argmax(axis=1)] == expected


@pytest.mark.parametrize("to", ALL)
def test_an_artifact_tells_nothing_of_the_machine_that_made_it(run, artifacts, to):
    path = artifacts(to)
    for file in path.parent.glob(f"{path.stem}.*"):
        content = file.read_bytes()
        for secret in (str(run.path.parent), __file__, exporting.__file__.rpartition("/")[0]):
            assert secret.encode() not in content


def test_an_artifact_that_differs_is_not_written_and_the_operation_is_named(run, tmp_path, monkeypatch):
    from onnx import numpy_helper

    def spoilt(*arguments):
        model = translate(*arguments)
        weight = next(tensor for tensor in model.graph.initializer if tensor.dims[:2] == [16, 6])
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.5), weight.name))
        return model

    translate = format_onnx.translate
    monkeypatch.setattr(format_onnx, "translate", spoilt)
    with pytest.raises(ProofError, match=r"nothing was written; the first operation that differs is conv2d_1 in c3 "):
        shipping.export(run.path, "onnx", out=tmp_path / "digits.onnx")
    assert list(tmp_path.iterdir()) == []


def test_preprocessing_that_does_not_fit_inside_stays_outside_and_is_said(run, tmp_path, monkeypatch):
    attach = onnx_preprocessing.attach
    wrong = Preprocessing(size=(32, 32), mean=(0.5,), std=(0.2,), resize=(30, 30), crop="center", channels=1)
    monkeypatch.setattr(onnx_preprocessing, "attach", lambda model, _: attach(model, wrong))
    notes = []
    written = shipping.export(run.path, "onnx", out=tmp_path / "digits.onnx", on_note=notes.append)
    assert not written.manifest.preprocessing_inside
    assert "the preprocessing stays outside" in notes[0]
    assert not convlens.load(written.path).info()["preprocessing_inside"]


def test_a_network_without_a_run_is_proved_on_photographs(tmp_path):
    written = shipping.export("lenet5", "safetensors", out=tmp_path / "net.safetensors", classes=["cat", "dog"])
    assert written.manifest.proof["images_from"] == "64 crops of scikit-learn's two photographs"
    predictor = convlens.load(written.path)
    assert predictor.classes == ("cat", "dog")
    assert predictor.probabilities(np.zeros((1, 1, 32, 32), np.float32)).shape == (1, 2)


def test_bfloat16_halves_the_weights(run, artifacts, x_nchw, tmp_path):
    written = run.export("safetensors", out=tmp_path / "half.safetensors", precision="bfloat16")
    assert written.path.stat().st_size < 0.55 * artifacts("safetensors").stat().st_size
    expected = run.predictor(device="cpu").probabilities(x_nchw)
    np.testing.assert_allclose(convlens.load(written.path).probabilities(x_nchw), expected, atol=0.1)


def test_the_default_place_is_in_the_run(run):
    written = run.export("safetensors")
    assert written.path == run.path / "artifacts" / "lenet5.safetensors"
    assert written.to_dict()["bytes"] == written.path.stat().st_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"to": "onx"}, "unknown format 'onx'; did you mean onnx"),
        ({"to": "onnx", "precision": "float23"}, "unknown precision 'float23'; did you mean float32"),
        ({"to": "onnx", "precision": "bfloat16"}, "onnx cannot hold bfloat16 .* openvino"),
        ({"to": "onnx", "out": "net.xml"}, r"--out net.xml: a file of the format 'onnx' ends in .onnx"),
        ({"to": "onnx", "classes": ["a"]}, "is a run, which has weights, classes and a size of its own"),
        ({"to": "onnx", "data": "no/such/folder"}, "no/such/folder"),
    ],
)
def test_what_cannot_be_exported(run, arguments, message):
    with pytest.raises(ConvlensError, match=message):
        shipping.export(run.path, **arguments)


class Gray(torch.nn.Module):
    """Somebody's own, of one channel."""

    def __init__(self):
        super().__init__()
        self.convolution, self.head = torch.nn.Conv2d(1, 8, 3, 2), torch.nn.Linear(8, 3)

    def forward(self, x):
        return self.head(torch.relu(self.convolution(x)).mean((2, 3)))


@pytest.mark.parametrize("to", ALL)
def test_a_module_of_ones_own_is_shipped_where_the_file_can_hold_it(to, tmp_path):
    torch.manual_seed(0)
    module = Gray()
    path = tmp_path / f"gray{FORMATS[to].suffixes[0]}"
    if to == "safetensors":
        with pytest.raises(ConvlensError, match=r"weights without their network, and Gray is none of .*; use onnx"):
            shipping.export(module, to, out=path, classes=["a", "b", "c"], size=(16, 20))
        return
    shipping.export(module, to, out=path, classes=["a", "b", "c"], size=(16, 20))
    predictor = convlens.load(path)
    assert predictor.classes == ("a", "b", "c")
    x = np.random.default_rng(0).normal(size=(2, 1, 16, 20)).astype(np.float32)
    expected = module(torch.from_numpy(x)).softmax(1).detach().numpy()
    np.testing.assert_allclose(predictor.probabilities(x), expected, atol=1e-5)


def test_weights_without_class_names(tmp_path):
    (tmp_path / "mine.pth").write_bytes(b"weights")
    with pytest.raises(ConvlensError, match="do not say what their classes are called; give --classes"):
        shipping.export("resnet18", "onnx", weights=tmp_path / "mine.pth")


def test_a_network_that_torch_cannot_follow():
    from convlens.artifacts.program import freeze

    class Undecided(torch.nn.Module):
        def forward(self, x):
            return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))

    with pytest.raises(ConvlensError, match="this network cannot be exported"):
        freeze(Undecided(), 1, (8, 8))


def test_a_checkpoint_becomes_an_artifact_when_its_classes_are_named(run, artifacts, x_nchw, tmp_path):
    weights = tmp_path / "mine.pth"
    torch.save(run.network().state_dict(), weights)
    names = [f"digit {i}" for i in range(10)]
    written = shipping.export("lenet5", "safetensors", out=tmp_path / "n.safetensors", weights=weights, classes=names)
    predictor = convlens.load(written.path)
    assert predictor.classes == tuple(names)
    assert written.manifest.weights_licence == "unknown: read from the file mine.pth"
    expected = run.predictor(device="cpu").probabilities(x_nchw)
    np.testing.assert_allclose(predictor.probabilities(x_nchw), expected, atol=1e-5)
    with pytest.raises(ConvlensError, match="has 10 outputs and 2 class names"):
        shipping.export("lenet5", "safetensors", out=tmp_path / "o.safetensors", weights=weights, classes=["a", "b"])


def test_bfloat16_for_openvino_is_half_the_file(run, artifacts, x_nchw, tmp_path):
    written = run.export("openvino", out=tmp_path / "half.xml", precision="bfloat16")
    whole = artifacts("openvino").with_suffix(".bin").stat().st_size
    assert written.files[1].stat().st_size < 0.55 * whole
    expected = run.predictor(device="cpu").probabilities(x_nchw)
    np.testing.assert_allclose(convlens.load(written.path).probabilities(x_nchw), expected, atol=0.1)


def test_a_model_that_is_written_is_left_as_it_was(run, tmp_path):
    from convlens.artifacts import format_openvino, openvino_graph
    from convlens.artifacts.onnx_graph import get_strings

    found = convlens.classifiers.resolve(run.path)
    model = format_onnx.translate(found.network, found.preprocessing, "float32")
    for number in range(2):
        format_onnx.save(model, tmp_path / f"{number}.onnx", found.manifest("float32"))
    assert get_strings(model) == {}
    format_openvino.save(openvino_graph.from_onnx(model), tmp_path / "net.xml", found.manifest("float32"))
    assert convlens.load(tmp_path / "net.xml").classes == run.classes
