"""convlens inspect and convlens compare, as a user types them."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from convlens import runs
from convlens.cli.main import main
from convlens.images import Preprocessing
from convlens.runs.environment import versions
from convlens.runs.run_weights import save_weights

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.body = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(width * 16, 10)

    def forward(self, x):
        return self.head(self.body(self.stem(x)).flatten(1))

def two(): return Net(2)
made = Net(4)
number = 3
def broken(): raise RuntimeError("no such\\nluck")
"""


@pytest.fixture
def net(tmp_path, monkeypatch):
    (tmp_path / "some_net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    return "some_net.py:Net"


def test_a_network_of_the_catalogue(capsys):
    assert main(["inspect", "lenet5"]) == 0
    shown = capsys.readouterr().out
    assert "61,706" in shown
    assert "peak memory" in shown


@pytest.mark.parametrize("name", ["some_net.py:Net", "some_net.py:two", "some_net.py:made", "some_net:Net"])
def test_the_users_own_code(net, name, capsys):
    assert main(["inspect", name, "--size", "8", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["output"] == [[1, 10]]
    assert sum(row["parameters"] for row in content["rows"]) == content["parameters"]
    stem = next(child for child in content["modules"]["children"] if child["path"] == "stem")
    assert stem["receptive_field"]["size"] == [3, 3]


def test_the_field_of_a_unit(net, capsys):
    arguments = ["inspect", net, "--size", "8", "--at", "body", "--unit", "0,3"]
    assert main(arguments) == 0
    assert "rows 0–3, columns 3–7 of 8×8; size 7, stride 2, offset 0" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["columns"] == [3, 7]


@pytest.fixture
def run(tmp_path):
    """A run folder of a LeNet-5 for three classes of gray images, as training leaves it, without training."""
    import torch

    description = runs.Description(
        name="pets",
        created="2026-11-24T06:00:00+00:00",
        network=runs.NetworkChoice(name="lenet5", classes=3, channels=1, size=(28, 32)),
        classes=("cat", "dog", "sheep"),
        preprocessing=Preprocessing(size=(28, 32), resize=(28, 32), mean=(0.5,), std=(0.25,), channels=1),
        config={},
        data=runs.DataSummary(source="pets", fingerprint="abc", splits={"train": 8}),
        numerics={"precision": "float32"},
        versions=versions(),
    )
    folder = runs.create_folder(tmp_path, "pets", description)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = folder.build_network().state_dict()
    for which in ("best", "last"):
        save_weights(weights, folder.weights_path(which))
    return folder.path


def test_a_run_is_inspected_with_its_own_size_channels_and_classes(run, capsys):
    assert main(["inspect", str(run), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["input"], content["output"]) == ([[1, 1, 28, 32]], [[1, 3]])
    built = sum(each.numel() for each in runs.read_folder(run).build_network().parameters())
    assert content["parameters"] == built
    assert main(["inspect", str(run), "--at", "c1", "--unit", "0,0"]) == 0
    assert "rows 0–4, columns 0–4 of 28×32" in capsys.readouterr().out


def test_a_runs_weights_are_read_only_to_measure(run, capsys):
    measure = ["inspect", str(run), "--at", "c1", "--effective"]
    assert main(measure) == 0
    assert "energy inside the theoretical field" in capsys.readouterr().out
    (run / "weights" / "best.safetensors").unlink()
    assert main(["inspect", str(run)]) == 0
    assert "LeNet5" in capsys.readouterr().out
    assert main(measure) == 2
    assert "best" in capsys.readouterr().err


def test_a_folder_that_is_no_run_and_a_size_that_does_not_fit(run, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["inspect", str(tmp_path / "empty")]) == 2
    assert "run.yaml" in capsys.readouterr().err
    assert main(["inspect", str(run), "--size", "64"]) == 2
    assert "made for 28×32" in capsys.readouterr().err


def test_training_memory_is_there_when_it_was_asked_for(net, capsys):
    assert main(["inspect", net, "--size", "8", "--json"]) == 0
    assert "training_memory" not in json.loads(capsys.readouterr().out)
    assert main(["inspect", net, "--size", "8", "--json", "--training", "sgd"]) == 0
    parts = json.loads(capsys.readouterr().out)["training_memory"]["sgd"]
    assert parts["gradients"] > 0


def test_operations_csv_html_and_training(net, capsys):
    assert main(["inspect", net, "--size", "8", "--operations", "--training", "adamw"]) == 0
    shown = capsys.readouterr().out
    assert "body.0.convolution" in shown
    assert "state of adamw" in shown
    assert main(["inspect", net, "--size", "8", "--csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("name,kind,module,shape")
    assert any(line.startswith("stem.convolution,convolution,stem,1×8×4×4") for line in lines)
    assert main(["inspect", net, "--size", "8", "--html", "--out", "sheet.html"]) == 0
    page = Path("sheet.html").read_text(encoding="utf-8")
    assert "<table>" in page
    assert "http" not in page


def test_pictures(net, tmp_path, capsys):
    Image.fromarray(np.full((20, 30, 3), 90, dtype=np.uint8)).save("photo.png")
    assert main(["inspect", net, "--size", "8", "--figure", "net.svg"]) == 0
    assert ElementTree.parse("net.svg").getroot().tag.endswith("svg")
    place = ["--at", "body", "--unit", "1,1", "--image", "photo.png", "--effective", "--figure", "field.png"]
    assert main(["inspect", net, "--size", "8", *place]) == 0
    assert "100.0% of the energy inside the theoretical field" in capsys.readouterr().out
    with Image.open("field.png") as picture:
        assert picture.size[0] > 300


def test_a_wrong_size_shows_the_table_and_the_line_to_change(net, capsys):
    assert main(["inspect", net, "--size", "10"]) == 2
    shown = capsys.readouterr()
    assert "body" in shown.out
    assert shown.err.startswith("convlens: head (Linear) expects 128 features but gets 1×200")
    assert "Linear(in_features=200, out_features=10)" in shown.err
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet19"], "did you mean resnet18"),
        (["some_net.py:Nets"], "unknown name in some_net.py 'Nets'"),
        (["other.py:Net"], "there is no file other.py"),
        (["some_net.py:number"], "gives int, not a torch.nn.Module"),
        (["some_net.py:broken"], "some_net.py:broken() fails: RuntimeError: no such luck"),
        (["no_such_package.x:Net"], "cannot be imported: ModuleNotFoundError"),
        (["some_net.py"], "some_net.py:Net"),
        (["weights.pt"], "holds weights, not a network"),
        (["lenet5", "--size", "big"], "size 'big' is not a size"),
        (["lenet5", "--size", "0"], "positive"),
        (["lenet5", "--unit", "1,1"], "name it with --at"),
        (["lenet5", "--at", "conv9"], "unknown module or operation 'conv9'"),
        (["lenet5", "--at", "conv1", "--unit", "x"], "--unit 'x' is not a place"),
        (["lenet5", "--json", "--csv"], "choose one"),
        (["lenet5", "--figure", "net.bmp"], "must end in .png, .svg, .pdf"),
        (["lenet5", "--training", "adamv"], "unknown optimizer 'adamv'"),
    ],
)
def test_mistakes(net, arguments, message, capsys):
    assert main(["inspect", *arguments]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


def test_compare(capsys):
    assert main(["compare", "resnet18", "resnet34", "--size", "64"]) == 0
    shown = capsys.readouterr().out
    assert "resnet34" in shown
    assert "1/32" in shown
    assert main(["compare", "lenet5", "resnet18", "--json"]) == 0
    one, other = json.loads(capsys.readouterr().out)
    for content in (one, other):
        assert sum(stage["macs"] for stage in content["stages"]) == content["macs"]
        assert sum(stage["parameters"] for stage in content["stages"]) == content["parameters"]
    assert other["stages"][-2]["receptive_field"] == [435, 435]


def test_compare_wants_two(capsys):
    assert main(["compare", "lenet5"]) == 2
    assert "two networks or more" in capsys.readouterr().err


def test_calls_files_types_and_names(net, capsys):
    assert main(["inspect", net, "--size", "8", "--calls"]) == 0
    shown = capsys.readouterr().out
    assert "kernel/stride" in shown
    assert "3×3/2" in shown
    assert main(["inspect", net, "--size", "8", "--csv", "a.csv", "--json", "a.json", "--html", "a.html"]) == 0
    assert Path("a.csv").read_text(encoding="utf-8").startswith("name,kind,module")
    assert json.loads(Path("a.json").read_text(encoding="utf-8"))["calls"][1]["path"] == "stem"
    assert "<table>" in Path("a.html").read_text(encoding="utf-8")
    assert main(["inspect", net, "--size", "x=8", "--wide"]) == 0
    assert "float32" in capsys.readouterr().out
    assert main(["inspect", net, "--size", "1,3,8,8:float32", "--graph", "net.svg"]) == 0
    assert ElementTree.parse("net.svg").getroot().tag.endswith("svg")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lenet5", "a.csv"], "write --csv a.csv"),
        (["lenet5", "resnet18"], "inspect takes one network"),
        (["lenet5", "--csv", "a.csv", "--json"], "name a file for each"),
        (["lenet5", "--size", "8:flaot32"], "unknown type in --size '8:flaot32': 'flaot32'"),
        (["lenet5", "--calls", "--operations"], "choose one"),
        (["lenet5", "--graph", "net.png"], "must end in .svg or .dot"),
    ],
)
def test_mistakes_with_files_and_types(net, arguments, message, capsys):
    assert main(["inspect", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("network", "place", "channels"),
    [
        ("resnet50", 4, 256),
        ("resnet50", 8, 512),
        ("efficientnet_b0", 2, 16),
        ("efficientnet_b0", 4, 24),
        ("vgg16", 4, 256),
    ],
)
def test_a_stage_ends_before_the_next_ones_first_layer(network, place, channels, capsys):
    assert main(["compare", network, "lenet5", "--json"]) == 0
    stages = json.loads(capsys.readouterr().out)[0]["stages"]
    found = {224 // stage["map"][0]: stage["channels"] for stage in stages if stage["map"]}
    assert found[place] == channels


def test_room_in_memory_is_no_operation(capsys):
    assert main(["inspect", "resnet18", "--size", "64", "--operations"]) == 0
    assert ".empty" not in capsys.readouterr().out


def test_a_network_whose_course_depends_on_numbers(tmp_path, capsys):
    (tmp_path / "found.py").write_text(
        "import torch\n\nclass Found(torch.nn.Module):\n    def forward(self, x):\n        return x[x > 0.5].sum()\n"
    )
    asked = ["inspect", f"{tmp_path}/found.py:Found", "--size", "3,9,7"]
    assert main(asked) == 2
    assert "--real" in capsys.readouterr().err
    assert main([*asked, "--real"]) == 0
    assert "with numbers: it holds for this input" in capsys.readouterr().out
