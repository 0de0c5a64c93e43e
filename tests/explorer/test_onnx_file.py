"""ONNX files from elsewhere on page 7: what is read off them, and the drawing in a real browser."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from playwright.sync_api import expect

import convlens
from convlens import networks
from convlens.artifacts.program import quiet_export
from convlens.cli.main import main
from convlens.errors import ConvlensError
from convlens.explorer.api.network import routes
from convlens.explorer.onnx_file import read_foreign, read_onnx
from convlens.explorer.session import Session
from convlens.explorer.subjects import Subjects

from .conftest import answering


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A branch that is added, a weight behind a Constant node, a shape computed by nodes, open sides."""
    path = tmp_path_factory.mktemp("foreign") / "strange net.onnx"

    def constant(name: str, values: np.ndarray) -> onnx.NodeProto:
        return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(values))

    generator = np.random.default_rng(0)
    weights = {"w1": (6, 3, 3, 3), "w2": (6, 1, 5, 5), "w3": (6, 4)}
    arrays = {name: generator.normal(size=shape).astype(np.float32) for name, shape in weights.items()}
    nodes = [
        constant("w1", arrays["w1"]),
        helper.make_node("Conv", ["x", "w1"], ["a"], name="stem", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w2"], ["c"], name="depth", group=6, pads=[2, 2, 2, 2]),
        helper.make_node("Add", ["b", "c"], ["d"], name="join"),
        helper.make_node("GlobalAveragePool", ["d"], ["e"]),
        helper.make_node("Shape", ["e"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Unsqueeze", ["n", "axes"], ["n1"]),
        helper.make_node("Concat", ["n1", "minus"], ["to"], axis=0),
        helper.make_node("Reshape", ["e", "to"], ["f"]),
        helper.make_node("Gemm", ["f", "w3"], ["y"], name="head"),
    ]
    whole = {"zero": np.array(0), "axes": np.array([0]), "minus": np.array([-1])}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in (arrays | whole).items() if name != "w1"],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def test_a_foreign_file_reads_as_a_network(foreign):
    drawing = read_onnx(foreign, 60).drawing
    shown = [" ".join([each["label"], *each["follows"]]) for each in drawing["nodes"][1:]]
    assert shown == ["3×3 conv, 6 /2 ReLU", "5×5 depthwise, 6", "+", "global average pool", "fc 4"]
    assert [each["shape"] for each in drawing["nodes"]] == [[3, 60, 60], *[[6, 30, 30]] * 3, [6, 1, 1], [4]]
    assert ["stem", "join"] in [list(edge) for edge in drawing["edges"]]
    assert drawing["totals"]["parameters"] == 6 * 27 + 6 * 25 + 24
    assert drawing["totals"]["macs"] == 30 * 30 * 6 * 27 + 30 * 30 * 6 * 25 + 24
    assert drawing["totals"]["peak_memory"] == 4 * 3 * 6 * 30 * 30  # b, c and d when they are added
    assert not drawing["not_counted"]


@pytest.mark.parametrize("name", ["lenet5", "resnet20"])
def test_a_file_of_a_known_network_counts_what_its_module_counts(name, tmp_path):
    network = networks.create(name, channels=1, size=(36, 44)).eval()
    path = tmp_path / "net.onnx"
    with quiet_export():
        torch.onnx.export(network, (torch.zeros(1, 1, 36, 44),), path, dynamo=True, verbose=False)
    totals, sheet = read_onnx(path).drawing["totals"], convlens.inspect(network, (1, 36, 44))
    assert totals["macs"] == sheet.macs
    assert read_onnx(path).size == (1, 36, 44)
    with pytest.raises(ConvlensError, match="made for images of 36×44"):
        read_onnx(path, 64)


def test_weights_are_those_in_the_file(foreign):
    file = read_onnx(foreign)
    assert file.weights("stem")["w1"].shape == (6, 3, 3, 3)
    assert list(file.weights("head")) == ["w3"]
    with pytest.raises(ConvlensError, match=r"unknown node 'heed'; did you mean .*head"):
        file.weights("heed")


def test_only_files_of_others_are_foreign(foreign, artifacts, tmp_path, monkeypatch):
    ours = artifacts("onnx")  # made before anything is counted
    load = onnx.load_model_from_string
    parsed = []
    monkeypatch.setattr(onnx, "load_model_from_string", lambda content: parsed.append(1) or load(content))
    assert read_foreign(foreign).name == foreign.name
    assert read_foreign(ours) is None
    assert read_foreign(tmp_path / "nothing.onnx") is None
    assert len(parsed) == 1  # large files take seconds


def test_what_is_no_network_of_images_is_one_line(tmp_path, capsys):
    path = tmp_path / "numbers.onnx"
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [value])
    graph.output[0].name = "y"
    onnx.save(helper.make_model(graph), path)
    assert main(["explore", str(path), "--no-browser", "--port", "0"]) == 2
    assert "its first input is not a batch of images" in capsys.readouterr().err
    (tmp_path / "damaged.onnx").write_bytes(b"\x08\xff" * 20)
    assert main(["explore", str(tmp_path / "damaged.onnx"), "--no-browser", "--port", "0"]) == 2
    assert "damaged.onnx" in capsys.readouterr().err


def test_what_needs_a_module_says_that_a_file_is_drawn_only(foreign):
    session = Session(subjects=Subjects(None, read_onnx(foreign)), network=foreign.name)
    with pytest.raises(ConvlensError, match="page 7 draws it"):
        session.subjects.anatomy(foreign.name)
    assert session.subjects.names()[0] == foreign.name
    assert routes(session)


@pytest.fixture(scope="module")
def address(foreign):
    """A server of its own, opened with the file."""
    with answering(Session(subjects=Subjects(None, read_onnx(foreign)), network=foreign.name)) as where:
        yield where


def test_a_foreign_file_is_drawn(foreign, visit, screenshot):
    page = visit("/network")
    expect(page.get_by_role("heading", name=foreign.name)).to_be_visible()
    page.locator("#network-search").fill("depthwise")
    page.locator(".found button").first.click()
    expect(page.locator(".node-card dl")).to_contain_text("150")
    expect(page.locator(".node-card .weight b")).to_have_text("w2")
    expect(page.locator(".totals")).to_contain_text("336")
    screenshot(page, "onnx")
