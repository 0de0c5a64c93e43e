import json
import subprocess
import sys

import pytest

from convlens.cli.main import main
from convlens.networks import card, names


def test_every_network_is_listed(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["networks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(names())


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("vgg1?_bn", ["vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"]),
        ("lenet", ["lenet5_1998", "lenet5", "googlenet_2014", "googlenet", "mobilenet_v2"]),
    ],
)
def test_a_pattern_or_a_part_chooses(pattern, found, capsys):
    assert main(["networks", pattern, "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == found


def test_one_network_is_shown_with_its_weights(capsys):
    assert main(["networks", "resnet50"]) == 0
    out = capsys.readouterr().out
    assert "25,557,032" in out
    assert "imagenet1k_v2" in out
    assert "He et al." in out


def test_one_network_as_json_is_its_card(capsys):
    assert main(["networks", "efficientnet_b1", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["parameters"] == card("efficientnet_b1").parameters
    assert row["weights"]["imagenet1k_v2"]["preprocessing"]["resize"] == 255


def test_a_misspelt_network_exits_with_2(capsys):
    assert main(["networks", "resent50"]) == 2
    assert capsys.readouterr().err.startswith("convlens: unknown network 'resent50'; did you mean resnet50 or ")


def test_listing_needs_no_torch():
    code = "import sys; from convlens.cli.main import main; main(['networks', 'vgg']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
