"""Every figure on every card, recomputed from the network; the published ones against those of the publishers."""

import csv
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import convlens
from convlens.errors import ConvlensError
from convlens.networks import card, class_names, create, names

# torchvision 0.28.0's metadata: parameters and G-MACs at the crop size
FIGURES = Path(__file__).parents[1] / "facts" / "imagenet_figures.csv"
PUBLISHED = {row["network"]: row for row in csv.DictReader(FIGURES.read_text().splitlines())}


@pytest.mark.parametrize("name", names())
def test_the_figures_on_the_card_are_those_of_the_network(name):
    sheet = card(name)
    with torch.device("meta"):
        anatomy = convlens.inspect(create(name), (sheet.channels, *sheet.input_size))
    assert (anatomy.trainable, anatomy.macs) == (sheet.parameters, sheet.macs)
    assert anatomy.not_counted == {}
    assert anatomy.output_shapes == ((1, sheet.classes),)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_have_the_published_size_and_cost(name):
    assert card(name).parameters == int(PUBLISHED[name]["parameters"])
    assert card(name).macs / 1e9 == pytest.approx(float(PUBLISHED[name]["gmacs"]), rel=0.005)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("lenet5_1998", 60_000),
        ("lenet5", 61_706),
        ("alexnet_2012", 60_965_224),
        ("mlp", 28 * 28 * 300 + 300 + 300 * 100 + 100 + 100 * 10 + 10),
    ],
)
def test_papers_networks_have_the_papers_size(name, parameters):
    assert card(name).parameters == parameters


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)])
def test_cifar_networks_have_the_size_of_table_6(depth, millions):
    assert round(card(f"resnet{depth}").parameters / 1e6, 1 if depth == 110 else 2) == millions


@pytest.mark.parametrize(
    ("name", "gmacs"), [("resnet50_v1", 3.8), ("resnet101_v1", 7.6), ("resnet152_v1", 11.3), ("plain34", 3.6)]
)
def test_the_papers_residual_networks_cost_what_table_1_says(name, gmacs):
    assert card(name).macs / 1e9 == pytest.approx(gmacs, abs=0.06)


def test_every_card_says_where_its_accuracy_is_from_and_prepares_images_of_its_size():
    for name in names():
        sheet = card(name)
        assert sheet.accuracy_source
        assert sheet.preprocessing.size == sheet.input_size
        assert sheet.preprocessing.channels == sheet.channels
        for weights in sheet.weights.values():
            assert weights.file_name.endswith(f"-{weights.sha256_prefix[:8]}.pth")
            assert weights.url or weights.package
            assert weights.url is None or weights.url.endswith(f"/{weights.file_name}")


@pytest.mark.parametrize(
    ("name", "millions"), [("lite0", 4.7), ("lite1", 5.4), ("lite2", 6.1), ("lite3", 8.2), ("lite4", 13.0)]
)
def test_the_lite_networks_have_the_size_of_the_authors_table(name, millions):
    assert round(card(f"efficientnet_{name}").parameters / 1e6, 1) == millions


# Landmarks of the order: where names are alike, at both ends, and where the WordNet numbers leave the alphabet.
LANDMARKS = {
    0: "tench", 1: "goldfish", 134: "crane bird", 207: "golden retriever", 281: "tabby", 340: "zebra", 398: "abacus",
    404: "airliner", 517: "crane", 638: "maillot", 639: "maillot tank suit", 744: "projectile", 817: "sports car",
    836: "sunglass", 837: "sunglasses", 916: "web site", 954: "banana", 963: "pizza", 980: "volcano",
    981: "ballplayer", 985: "daisy", 999: "toilet tissue",
}  # fmt: skip


def test_published_weights_name_their_classes_in_the_order_of_their_outputs():
    known = card("resnet50").class_names
    assert len(set(known)) == len(known) == card("resnet50").classes
    assert {index: known[index] for index in LANDMARKS} == LANDMARKS
    for name in names():
        for weights in card(name).weights.values():
            if weights.top1 is not None:
                assert class_names(name, weights.name.upper()) == known
    assert card("lenet5").class_names == ()


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("vgg16", "imagenet1k_features", "'imagenet1k_features' of vgg16 do not classify; choose imagenet1k_v1"),
        ("resnet50", "imagenet1k_v9", "unknown weights of resnet50 'imagenet1k_v9'; did you mean imagenet1k_v"),
        ("resnet50", "nowhere.pth", "there is no file of weights 'nowhere.pth'; check the path"),
    ],
)
def test_weights_that_name_no_classes(name, weights, message):
    with pytest.raises(ConvlensError, match=message):
        class_names(name, weights)


def test_a_file_names_its_classes_only_if_it_is_a_copy_of_published_weights(tmp_path):
    file = tmp_path / "copy.pth"
    file.write_bytes(b"weights")
    assert class_names("resnet18", file) == ()
    original = card("resnet18").weights["imagenet1k_v1"]
    known = {"v1": replace(original, sha256_prefix=hashlib.sha256(b"weights").hexdigest()[:8])}
    found = replace(card("resnet18"), weights=known).published(file)
    assert found is not None
    assert found.class_names == card("resnet50").class_names
