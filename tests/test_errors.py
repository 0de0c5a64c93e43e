import pytest

from convlens.errors import ConvlensError, unknown_name


def test_the_nearest_names_are_offered():
    with pytest.raises(ConvlensError, match="unknown network 'resnet81'; did you mean resnet18"):
        raise unknown_name("network", "resnet81", ["lenet5", "resnet18"])


def test_every_name_is_listed_when_none_is_near():
    assert str(unknown_name("runtime", "abacus", ["torch", "onnx"])).endswith("valid: torch, onnx")


def test_what_is_no_name_is_told_as_it_is():
    assert str(unknown_name("network", 5, ["lenet5"])) == "unknown network 5; valid: lenet5"
