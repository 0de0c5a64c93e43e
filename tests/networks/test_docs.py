"""The pages on networks show what the networks are."""

import importlib.util
from pathlib import Path

import pytest

import convlens
from convlens.networks import Inception, InceptionNaive, InceptionWidths, compound_scale, scale_efficientnet

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def drawing():
    spec = importlib.util.spec_from_file_location("draw_networks", DOCS / "draw_networks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pictures_are_those_of_the_networks(drawing):
    for page, (network, stages) in drawing.PICTURES.items():
        written = (DOCS / "pictures" / f"network-{page}.svg").read_text(encoding="utf-8")
        assert written == drawing.picture(network, stages.split()), "run docs/draw_networks.py"


def test_tables_are_those_of_the_cards(drawing):
    for page in drawing.PAGES:
        text = (DOCS / "networks" / f"{page}.md").read_text(encoding="utf-8")
        assert text == drawing.with_table(text, page), "run docs/draw_networks.py"


def test_the_literatures_page_has_the_numbers_that_come_out(drawing):
    text = (DOCS / "networks" / "literature.md").read_text(encoding="utf-8")
    assert text == drawing.with_literature(text), "run docs/draw_networks.py"


def test_reductions_save_what_the_page_says():
    naive = convlens.inspect(InceptionNaive(192, one=64, three=128, five=32), (192, 28, 28))
    widths = InceptionWidths(one=64, reduce3=96, three=128, reduce5=16, five=32, project=32)
    reduced = convlens.inspect(Inception(192, widths), (192, 28, 28))
    assert (round(naive.macs / 1e6), round(reduced.macs / 1e6)) == (303, 128)
    assert (naive.output_shapes, reduced.output_shapes) == (((1, 416, 28, 28),), ((1, 256, 28, 28),))


def test_the_compound_coefficient_is_the_papers():
    assert compound_scale(0).resolution == 224
    scale = compound_scale(1.5)
    assert (round(scale.depth, 2), round(scale.width, 2), scale.resolution) == (1.31, 1.15, 276)
    with pytest.raises(convlens.ConvlensError, match=r"beta=0\.9 must be at least 1"):
        compound_scale(1, beta=0.9)
    net = scale_efficientnet(depth=scale.depth, width=scale.width, resolution=scale.resolution, classes=10)
    assert net.input_size == (276, 276)
    macs = convlens.inspect(net, (3, 276, 276)).macs
    assert convlens.networks.card("efficientnet_b1").macs < macs < convlens.networks.card("efficientnet_b3").macs
