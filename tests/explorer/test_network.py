"""The network page: what folding keeps, and the drawing in a real browser."""

import re
from itertools import pairwise

import pytest
from playwright.sync_api import expect

from convlens import networks
from convlens.errors import ConvlensError
from convlens.explorer.folding import fold
from convlens.explorer.subjects import Subjects


@pytest.fixture(scope="module")
def subjects() -> Subjects:
    return Subjects()


def test_a_folded_network_reads_as_in_its_paper(subjects):
    nodes, edges = fold(subjects.anatomy("resnet50"), [])
    shown = [" ".join([node.part.label, *node.follows]) for node in nodes[1:]]
    assert shown == [
        "7×7 conv, 64 /2 BN ReLU",
        "3×3 max pool /2",
        "3 × Bottleneck",
        "4 × Bottleneck",
        "6 × Bottleneck",
        "3 × Bottleneck",
        "global average pool",
        "fc 1000",
    ]
    assert edges == [(before.id, after.id) for before, after in pairwise(nodes)]


def test_an_open_block_shows_its_skip_connection(subjects):
    nodes, edges = fold(subjects.anatomy("resnet50"), ["layer1", "layer1.1"])
    assert ("layer1.0", "layer1.1.add") in edges
    assert [node.id for node in nodes if "layer1.1" in node.group] == [
        f"layer1.1.{name}" for name in ("conv1", "conv2", "conv3", "add")
    ]


@pytest.mark.parametrize(
    ("name", "opened"),
    [
        ("resnet18", ["layer2", "layer2.0"]),
        ("googlenet", ["inception4a"]),
        ("efficientnet_b0", ["stage3"]),
        ("lenet5", []),
    ],
)
def test_nothing_is_lost_in_folding(subjects, name, opened):
    sheet = subjects.anatomy(name)
    nodes, _ = fold(sheet, opened)
    assert sum(row.parameters for node in nodes for row in node.rows) == sheet.parameters
    assert sum(row.macs or 0 for node in nodes for row in node.rows) == sheet.macs
    assert sheet.macs == networks.card(name).macs


def test_the_reduced_inception_module_costs_what_the_paper_says(subjects):
    """Table 1: 159K parameters and 128 M operations for (3a); exactly 163,328 weights, and 368 biases."""
    sheet = subjects.anatomy("inception_reduced")
    assert sheet.parameters == 163_328 + 368
    assert round(sheet.macs / 1e6) == 128


def test_a_network_that_is_not_there_is_answered_with_the_nearest(subjects):
    with pytest.raises(ConvlensError, match=r"unknown network 'resnet51'; did you mean .*resnet50"):
        subjects.anatomy("resnet51")
    with pytest.raises(ConvlensError, match="cannot take images of 8×8"):
        subjects.anatomy("vgg11", 8)


@pytest.mark.browser
def test_a_stage_opens_and_closes_and_the_address_follows(visit, screenshot):
    page = visit("/network?a=resnet18")
    page.get_by_role("button", name=re.compile("^layer1 2 × BasicBlock")).click()
    page.get_by_role("button", name=re.compile("^layer1.1 BasicBlock")).click()
    page.get_by_role("button", name=re.compile("^layer1.1.add")).wait_for()
    expect(page.locator("path.edge.skip")).to_have_count(1)
    page.wait_for_url(re.compile("openA=layer1,layer1.1"))
    screenshot(page, "network")
    page.get_by_role("button", name="close layer1", exact=True).click()
    page.get_by_role("button", name=re.compile("^layer1 2 × BasicBlock")).wait_for()
    page.wait_for_url(re.compile(r"a=resnet18$"))


@pytest.mark.browser
def test_the_keyboard_opens_and_tells(visit):
    page = visit("/network?a=lenet5")
    page.get_by_role("button", name=re.compile("^c3 5×5 conv, 16 ReLU")).focus()
    tip = page.locator(".tip:not([hidden])").first
    assert "16×10×10" in tip.inner_text()
    assert "2.42\u00a0k" in tip.inner_text()
    page = visit("/network?a=resnet18")
    page.get_by_role("button", name=re.compile("^layer2")).focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name=re.compile("^layer2.0")).wait_for()
    assert page.evaluate("document.activeElement.dataset.id").startswith("layer2")


@pytest.mark.browser
def test_the_naive_module_stands_beside_the_reduced_one(visit, screenshot):
    page = visit("/network")
    page.get_by_role("button", name="Inception: naive and reduced").click()
    totals = page.get_by_role("row", name=re.compile("^Parameters"))
    expect(totals.get_by_role("cell")).to_have_text(["387,296", "163,696", "2.37×"])
    expect(page.locator("svg.network")).to_have_count(2)
    screenshot(page, "inception", full_page=True)


@pytest.mark.browser
def test_an_unknown_network_in_the_address_is_said(visit):
    page = visit("/network?a=resnet51")
    assert "or resnet50" in page.locator("#notices").inner_text()
    visit.tolerated()
