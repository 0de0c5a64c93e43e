"""Files that were made to deceive: whole and sealed, with something in them that no artifact has."""

import io
import json
import pickle
import shutil
import zipfile

import numpy as np
import pytest
import torch

import convlens
from convlens.artifacts import FORMATS, ArtifactError
from convlens.untrusted.pickles import seal_archive
from convlens.untrusted.sealing import BLANK, seal
from convlens.untrusted.tensors import load_tensors, read_texts, write_sealed


class Caught:
    """A pickle that leaves a mark where it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


@pytest.fixture
def mark(tmp_path):
    path = tmp_path / "it ran"
    yield path
    assert not path.exists()


def archived(source, path, change):
    """An archive like `source` in which `change` edited the mapping of its members."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    path.write_bytes(seal_archive(buffer.getvalue()))
    return path


def refused(path, message):
    with pytest.raises(ArtifactError, match=message) as caught:
        convlens.load(path)
    assert path.stem in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_an_archive_that_torch_would_open_by_its_older_layout(artifacts, tmp_path, mark):
    with zipfile.ZipFile(artifacts("torch")) as archive:
        entry = archive.read(next(name for name in archive.namelist() if name.endswith("convlens.json")))

    def older(members):
        members.clear()
        members["version"] = b"8.20"
        members["serialized_exported_program.json"] = b"{}"
        members["serialized_state_dict.pt"] = pickle.dumps(Caught(mark))
        members["archive/extra/convlens.json"] = entry

    refused(archived(artifacts("torch"), tmp_path / "older.pt2", older), "refused: it has a member")


@pytest.mark.parametrize(
    "name", ["data/weights/custom_obj_0", "data/weights/weight_0.pt", "../weight_0", "data/aotinductor/model/a.so"]
)
def test_members_that_no_artifact_has(artifacts, tmp_path, mark, name):
    def add(members):
        members[f"archive/{name}"] = pickle.dumps(Caught(mark))

    refused(archived(artifacts("torch"), tmp_path / "more.pt2", add), "refused: it has a member")


def test_weights_that_say_they_are_a_pickle(artifacts, tmp_path, mark):
    def change(members):
        name = next(name for name in members if name.endswith("model_weights_config.json"))
        config = json.loads(members[name])
        first = next(iter(config["config"].values()))
        first["use_pickle"] = True
        members[name] = json.dumps(config).encode()
        members["archive/data/weights/" + first["path_name"]] = pickle.dumps(Caught(mark))

    refused(archived(artifacts("torch"), tmp_path / "pickled.pt2", change), "not stored as plain numbers")


def edited(edit):
    def change(members):
        name = next(name for name in members if name.endswith("models/model.json"))
        content = json.loads(members[name])
        edit(content["graph_module"]["graph"], content)
        members[name] = json.dumps(content).encode()

    return change


def _call(target, *arguments):
    inputs = [{"name": f"a{i}", "arg": argument, "kind": 1} for i, argument in enumerate(arguments)]
    return {
        "target": target,
        "inputs": inputs,
        "outputs": [{"as_tensor": {"name": "made"}}],
        "metadata": {},
        "name": "made",
        "is_hop_single_tensor_return": None,
    }


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        ("torch.os.system", [{"as_string": "touch it"}]),
        ("torch.ops.load_library", [{"as_string": "a.so"}]),
        ("torch.hub.load", [{"as_string": "a"}, {"as_string": "b"}]),
        ("torch.ops.aten.__class__.mro", []),
        ("torch.ops.aten.from_file.default", [{"as_string": "a"}, {"as_bool": True}, {"as_int": 1}]),
        ("builtins.eval", [{"as_string": "1"}]),
        ("_operator.attrgetter", [{"as_string": "x"}]),
        ("torch.ops.aten.full.default", [{"as_ints": [10**12]}, {"as_float": 1.0}]),
        ("torch.ops.aten.zeros.default", [{"as_ints": [2**20, 2**20]}]),
        ("torch.ops.aten.relu.default", [{"as_tensor": {"name": "never made"}}]),
        ("torch.ops.aten.relu.default", [{"as_operator": "torch.os.system"}]),
        ("torch.ops.aten.relu.default", [{"as_graph": {"name": "g", "graph": {}}}]),
        (["torch"], []),
    ],
)
def test_calls_that_no_network_makes(artifacts, tmp_path, target, arguments):
    change = edited(lambda graph, _: graph["nodes"].insert(0, _call(target, *arguments)))
    refused(archived(artifacts("torch"), tmp_path / "calls.pt2", change), "refused or damaged")


def test_texts_that_torch_export_would_evaluate_are_not_read(artifacts, tmp_path, mark):
    code = f"open({str(mark)!r}, 'w')"

    def edit(graph, content):
        content["guards_code"] = [code]
        content["range_constraints"] = {code: {"min_val": 1, "max_val": None}}
        for value in graph["tensor_values"].values():
            value["sizes"] = [{"as_expr": {"expr_str": code, "hint": None}}]
        for entry in content["graph_module"]["module_call_graph"]:
            entry["signature"] = {"inputs": [], "outputs": [], "in_spec": code, "out_spec": code}

    path = archived(artifacts("torch"), tmp_path / "texts.pt2", edited(edit))
    x = np.zeros((2, 1, 32, 32), np.float32)
    np.testing.assert_array_equal(
        convlens.load(path).probabilities(x), convlens.load(artifacts("torch")).probabilities(x)
    )


def test_names_that_would_become_code(artifacts, tmp_path, mark):
    def edit(graph, _):
        graph["nodes"][-1]["outputs"] = [{"as_tensor": {"name": f"x); open({str(mark)!r}, 'w'); ("}}]

    refused(archived(artifacts("torch"), tmp_path / "names.pt2", edited(edit)), "is not a name")


def test_a_compressed_archive_is_not_unpacked(artifacts, tmp_path):
    path = tmp_path / "bomb.pt2"
    buffer = io.BytesIO()
    with zipfile.ZipFile(artifacts("torch")) as source, zipfile.ZipFile(buffer, "w") as target:
        for name in source.namelist():
            content = bytes(50_000_000) if name.endswith("weight_0") else source.read(name)
            target.writestr(name, content, zipfile.ZIP_DEFLATED)
    path.write_bytes(seal_archive(buffer.getvalue()))
    refused(path, "is compressed or encrypted")


@pytest.mark.parametrize("sizes", [[10**9, 10**9], [-1], [2**62], ["a"], [1.5]])
def test_tensors_larger_than_their_bytes(artifacts, tmp_path, sizes):
    def change(members):
        name = next(name for name in members if name.endswith("model_weights_config.json"))
        config = json.loads(members[name])
        meta = next(iter(config["config"].values()))["tensor_meta"]
        meta["sizes"] = [{"as_int": side} for side in sizes]
        meta["strides"] = [{"as_int": 0} for _ in sizes]
        members[name] = json.dumps(config).encode()

    refused(archived(artifacts("torch"), tmp_path / "large.pt2", change), "refused or damaged")


# ONNX


def onnx_like(artifacts, path, edit):
    import onnx

    model = onnx.load(artifacts("onnx"))
    edit(model)
    entry = next(entry for entry in model.metadata_props if entry.key == "convlens.seal")
    entry.value = BLANK
    path.write_bytes(seal(model.SerializeToString()))
    return path


@pytest.mark.parametrize("inside", ["graph", "attribute"])
def test_sparse_numbers_stand_for_any_number_of_zeros(artifacts, tmp_path, inside):
    import onnx
    from onnx import helper, numpy_helper

    values = numpy_helper.from_array(np.ones(1, np.float32), "values")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(np.zeros(1, np.int64), "places"), [10**9])

    def edit(model):
        if inside == "graph":
            model.graph.sparse_initializer.append(sparse)
        else:
            node = onnx.NodeProto(op_type="Constant", output=["made"])
            node.attribute.append(helper.make_attribute("sparse_value", sparse))
            model.graph.node.insert(0, node)

    refused(onnx_like(artifacts, tmp_path / "sparse.onnx", edit), "has sparse numbers")


def test_numbers_in_another_file(artifacts, tmp_path):
    from onnx import TensorProto

    secret = tmp_path / "secret"
    secret.write_bytes(bytes(4096))

    def edit(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "secret"), ("length", "600")):
            tensor.external_data.add(key=key, value=value)

    refused(onnx_like(artifacts, tmp_path / "outside.onnx", edit), "are in another file")


def test_numbers_of_an_attribute_in_another_file(artifacts, tmp_path):
    from onnx import TensorProto, helper

    def edit(model):
        tensor = TensorProto(name="hidden", dims=[1], data_type=1, data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="/etc/passwd")
        model.graph.node.insert(0, helper.make_node("Constant", [], ["hidden"], value=tensor))

    refused(onnx_like(artifacts, tmp_path / "attribute.onnx", edit), "are in another file")


def test_operators_of_others(artifacts, tmp_path):
    from onnx import helper

    def edit(model):
        model.opset_import.add(domain="com.example", version=1)
        model.graph.node.append(helper.make_node("Shell", ["x"], ["shell"], domain="com.example"))

    refused(onnx_like(artifacts, tmp_path / "foreign.onnx", edit), "has the operator 'Shell' of 'com.example'")


def test_graphs_within_graphs(artifacts, tmp_path):
    from onnx import helper

    def edit(model):
        inner = helper.make_graph([], "inner", [], [])
        model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner))

    refused(onnx_like(artifacts, tmp_path / "nested.onnx", edit), "has a graph of its own")


def test_values_beyond_all_reason(artifacts, tmp_path):
    from onnx import helper, numpy_helper

    def edit(model):
        model.graph.initializer.append(numpy_helper.from_array(np.array([2**20, 2**20]), "sides"))
        model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["sides"], ["large"]))

    refused(onnx_like(artifacts, tmp_path / "vast.onnx", edit), "numbers")


@pytest.mark.parametrize("cut", ["first", "last"])
def test_a_graph_that_lacks_a_node(artifacts, tmp_path, cut):
    def edit(model):
        del model.graph.node[0 if cut == "first" else -1]

    refused(onnx_like(artifacts, tmp_path / "cut.onnx", edit), "export it again")


def test_a_graph_with_other_outputs_than_classes(artifacts, tmp_path):
    def edit(model):
        for entry in model.metadata_props:
            if entry.key == "convlens.classes":
                entry.value = '["a", "b"]'
            if entry.key == "convlens.network":
                entry.value = json.dumps(json.loads(entry.value) | {"classes": 2})

    refused(onnx_like(artifacts, tmp_path / "two.onnx", edit), r"answers with \(1, 10\) .* names 2 classes")


# OpenVINO


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'type="SoftMax"', b'type="Shell"'),
        (b'type="Convolution"', b'type="Convolutiom"'),
        (b'offset="0"', b'offset="99999999999"'),
        (b'element_type="f32" shape="6, 1, 5, 5"', b'element_type="f32" shape="999999, 999999, 5, 5"'),
        (b"<edges>", b"<edges><edge/>"),
        (b"<layers>", b"<layer>" * 2000),
    ],
)
def test_edited_openvino_graphs(artifacts, tmp_path, old, new):
    source = artifacts("openvino")
    shutil.copy(source.with_suffix(".bin"), tmp_path / "net.bin")
    content = source.read_bytes()
    assert old in content
    begin = content.index(b'<seal value="') + len(b'<seal value="')
    content = content[:begin] + BLANK.encode() + content[begin + 64 :]
    path = tmp_path / "net.xml"
    path.write_bytes(seal(content.replace(old, new, 1)))
    refused(path, "net")


# safetensors and manifests


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("format", "²"),
        ("format", "9" * 5000),
        ("format", "-1"),
        ("network", "[]"),
        ("network", '{"name": "lenet5"}'),
        ("network", '{"name": "lenet5", "classes": 10, "channels": 1, "size": [1000000, 1], "dropout": null}'),
        ("network", '{"name": "lenet5", "classes": 10, "channels": 1, "size": 32, "dropout": null}'),
        ("network", '{"name": "nonesuch", "classes": 10, "channels": 1, "size": [32, 32], "dropout": null}'),
        ("network", '{"name": "resnet18", "classes": 10, "channels": 1, "size": [32, 32], "dropout": null}'),
        ("network", '{"name": "lenet5", "classes": 10, "channels": 1, "size": [32, 32], "dropout": "much"}'),
        ("run", "null"),
        ("classes", "[[], {}]"),
        ("classes", "null"),
        ("classes", "[" * 100_000),
        ("preprocessing", "null"),
        (
            "preprocessing",
            '{"size": [32, 32], "mean": [0.5], "std": [0.5], "channels": 1, "resize": 1000000, "crop": "center"}',
        ),
        ("preprocessing", '{"size": [100000, 100000], "mean": [0.5], "std": [0.5], "channels": 1}'),
        ("preprocessing", '{"size": [32, 32], "mean": [1e999], "std": [0.5], "channels": 1}'),
        ("preprocessing", '{"size": [32, 32], "mean": ["a"], "std": [0.5], "channels": 1}'),
        ("preprocessing", '{"size": [64, 64], "mean": [0.5], "std": [0.5], "channels": 3}'),
        ("precision", '"float8"'),
        ("precision", "[]"),
        ("preprocessing_inside", '"yes"'),
        ("versions", "[]"),
        ("weights_licence", "{}"),
        ("card", "nonsense"),
    ],
)
def test_manifests_that_cannot_be(artifacts, tmp_path, entry, value):
    source = artifacts("safetensors")
    texts = read_texts(source.read_bytes(), source) | {f"convlens.{entry}": value}
    path = tmp_path / "edited.safetensors"
    path.write_bytes(write_sealed(load_tensors(source.read_bytes(), source), texts, "convlens.seal"))
    refused(path, "edited")


@pytest.mark.parametrize(
    "header",
    [
        b'{"a": {"dtype": "F32", "shape": [1000000000000], "data_offsets": [0, 4000000000000]}}',
        b'{"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}',
        b'{"a": 1, "a": 2}',
        b"[" * 100_000,
        b"null",
        b'{"__metadata__": []}',
        b'{"__metadata__": {"a": 1}}',
    ],
)
def test_headers_that_cannot_be(artifacts, tmp_path, header):
    path = tmp_path / "header.safetensors"
    content = len(header).to_bytes(8, "little") + header + b"0000"
    path.write_bytes(seal(content + f"convlens seal={BLANK}".encode()))
    refused(path, "header")


def test_surplus_and_missing_tensors(artifacts, tmp_path):
    source = artifacts("safetensors")
    texts = read_texts(source.read_bytes(), source)
    tensors = load_tensors(source.read_bytes(), source)
    path = tmp_path / "other.safetensors"
    for changed in (tensors | {"surplus": torch.zeros(1)}, dict(list(tensors.items())[1:])):
        path.write_bytes(write_sealed(changed, texts, "convlens.seal"))
        with pytest.raises(ArtifactError, match="the weights do not fit"):
            convlens.load(path)


def test_every_format_is_tried():
    assert set(FORMATS) == {"onnx", "openvino", "torch", "safetensors", "plan"}
