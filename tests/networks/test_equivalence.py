"""The same weights in ours and in forward passes written from the published entries: the same logits."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from convlens.networks import card, create, names
from convlens.networks.alexnet import AlexNet
from convlens.networks.catalogue import family_of
from convlens.networks.efficientnet import TENSORFLOW, EfficientNet
from convlens.networks.efficientnet_lite import EfficientNetLite
from convlens.networks.googlenet import TABLE_1, GoogLeNet
from convlens.networks.inception import InceptionWidths
from convlens.networks.loading import adapt, find_misfits, to_our_names
from convlens.networks.mobilenet_v2 import MobileNetV2
from convlens.networks.resnet import ResNet
from convlens.networks.vgg import VGG
from networks import reference

FACTS = Path(__file__).parents[1] / "facts"
PUBLISHED = json.loads((FACTS / "imagenet_state_dicts.json").read_text())
TIMM = json.loads((FACTS / "timm_state_dicts.json").read_text())


def entries_on_meta(shapes):
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def random_statistics(network):
    generator = torch.Generator().manual_seed(5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5, generator=generator)
            for tensor in (module.bias, module.running_mean):
                nn.init.normal_(tensor, std=0.1, generator=generator)
    return network.eval()


def named_as_in(layout, network, family):
    """Our weights under the names of another project."""
    theirs = {ours: name for name, ours in family.layouts[layout](network).items()} if layout else {}
    entries = {}
    for name, value in network.state_dict().items():
        module, _, leaf = name.rpartition(".")
        if module or leaf not in ("input_scale", "input_shift"):
            entries[f"{theirs[module]}.{leaf}" if theirs else name] = value
    return entries


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_entry_of_every_published_file_has_its_place(name):
    family = family_of(card(name))
    with torch.device("meta"):
        network = create(name)
    renamed = to_our_names(entries_on_meta(PUBLISHED[name]), network, family)
    assert len(renamed) == len(PUBLISHED[name])
    assert find_misfits(renamed, network, family) == ([], [], {})
    assert all(entry in renamed for entry in network.state_dict() if not entry.startswith("input_"))


@pytest.mark.parametrize("name", TIMM)
def test_every_entry_of_timms_files_has_its_place(name):
    family = family_of(card(name))
    with torch.device("meta"):
        network = create(name)
    renamed = to_our_names(entries_on_meta(TIMM[name]), network, family)
    assert find_misfits(adapt(renamed, network, family, "timm"), network, family) == ([], [], {})
    assert renamed.keys() == network.state_dict().keys()


def test_the_auxiliary_heads_of_the_published_googlenet_are_loaded_if_the_network_has_them():
    network = GoogLeNet(auxiliary=True)
    family = family_of(card("googlenet"))
    renamed = to_our_names(entries_on_meta(PUBLISHED["googlenet"]), network, family)
    assert renamed.keys() | {"input_scale", "input_shift"} == network.state_dict().keys()
    assert find_misfits(renamed, network, family) == ([], [], {})


NARROW_TABLE = {name: InceptionWidths(*(width // 8 for width in row)) for name, row in TABLE_1.items()}
SMALL = {
    "alexnet": (lambda: AlexNet(hidden=32, classes=7), reference.alexnet),
    "vgg": (lambda: VGG(depths=(1, 2, 2, 1, 1), widths=(4, 8, 8, 8, 8), hidden=32, classes=7), reference.vgg),
    "vgg_bn": (
        lambda: VGG(depths=(1, 2, 1, 1, 3), widths=(4, 8, 8, 8, 8), hidden=32, classes=7, batch_norm=True),
        reference.vgg,
    ),
    "googlenet": (lambda: GoogLeNet(table=NARROW_TABLE, stem=(8, 24), classes=7), reference.googlenet),
    "resnet18": (lambda: ResNet(depths=(2, 2, 1, 1), widths=(8, 8, 16, 16), classes=7), reference.resnet),
    "resnet50": (
        lambda: ResNet(kind="bottleneck", depths=(2, 2, 1, 1), widths=(4, 4, 8, 8), classes=7),
        reference.resnet,
    ),
    "efficientnet_b0": (lambda: EfficientNet(width=0.25, depth=1.2, classes=7), reference.efficientnet),
    "efficientnet_b5": (
        lambda: EfficientNet(width=0.25, classes=7, style=TENSORFLOW),
        lambda w, x: reference.efficientnet(w, x, eps=0.001),
    ),
    "mobilenet_v2": (lambda: MobileNetV2(width=0.25, classes=7), reference.mobilenet_v2),
}


@pytest.mark.parametrize("size", [(96, 96), (75, 101)])
@pytest.mark.parametrize("case", SMALL)
def test_logits_are_those_of_the_published_networks(case, size):
    build, forward = SMALL[case]
    network = random_statistics(build())
    family = family_of(card({"vgg": "vgg11", "vgg_bn": "vgg11_bn"}.get(case, case)))
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = forward(named_as_in("torchvision" if family.layouts else None, network, family), x)
        torch.testing.assert_close(network(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "eps"), [("efficientnet_b0", 1e-5), ("efficientnet_b4", 1e-5), ("efficientnet_b5", 1e-3)]
)
def test_the_larger_efficientnets_have_tensorflows_epsilon(name, eps):
    with torch.device("meta"):
        norms = [module for module in create(name).modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(module.eps, module.momentum) for module in norms} == {(eps, 0.01 if eps == 1e-3 else 0.1)}


LITE = {"activate": F.relu6, "eps": 1e-3, "tensorflow": True}
OTHER_LAYOUTS = {
    "efficientnet_b0 timm": (lambda: EfficientNet(width=0.25, classes=7), reference.timm_mbconv),
    "mobilenet_v2 timm": (
        lambda: MobileNetV2(width=0.25, classes=7),
        lambda w, x: reference.timm_mbconv(w, x, activate=F.relu6, strides=(1, 2, 2, 2, 1, 2, 1)),
    ),
    "efficientnet_lite0 timm": (
        lambda: EfficientNetLite(width=0.25, depth=1.2, classes=7),
        lambda w, x: reference.timm_mbconv(w, x, **LITE),
    ),
    "efficientnet_lite0 EfficientNet-PyTorch": (
        lambda: EfficientNetLite(width=0.5, depth=1.2, classes=7),
        reference.efficientnet_lite,
    ),
}


@pytest.mark.parametrize("size", [(96, 96), (75, 101), (90, 58)])
@pytest.mark.parametrize("case", OTHER_LAYOUTS)
def test_logits_of_other_layouts(case, size):
    build, forward = OTHER_LAYOUTS[case]
    name, layout = case.split()
    network = random_statistics(build())
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = forward(named_as_in(layout, network, family_of(card(name))), x)
        torch.testing.assert_close(network(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0", "googlenet"])
def test_a_published_file_gives_the_logits_of_the_published_network(name, tmp_path):
    forward = {"resnet18": reference.resnet, "efficientnet_b0": reference.efficientnet}.get(name, reference.googlenet)
    family = family_of(card(name))
    entries = named_as_in("torchvision" if family.layouts else None, random_statistics(create(name)), family)
    torch.save(entries, tmp_path / "weights.pth")
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        network = create(name, weights=tmp_path / "weights.pth").eval()
        torch.testing.assert_close(network(x), forward(entries, x), atol=1e-5, rtol=1e-5)


def test_googlenet_prepares_its_input_as_the_published_weights_were_trained():
    network = random_statistics(GoogLeNet(table=NARROW_TABLE, stem=(8, 24), classes=7))
    family = family_of(card("googlenet"))
    entries = named_as_in("torchvision", network, family)
    family.prepare(network, card("googlenet").weights["imagenet1k_v1"].preprocessing)
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = reference.googlenet(entries, x, transform_input=True)
        torch.testing.assert_close(network(x), expected, atol=1e-5, rtol=1e-5)


def test_the_references_cover_every_published_family():
    assert {card(name).family for name in names() if card(name).weights} == {
        "alexnet",
        "vgg",
        "googlenet",
        "resnet",
        "efficientnet",
        "efficientnet_lite",
        "mobilenet_v2",
    }
