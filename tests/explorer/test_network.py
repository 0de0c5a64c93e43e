"""The network page: what folding keeps, and the drawing in a real browser."""

import re
from itertools import pairwise

import pytest
from playwright.sync_api import expect

from convlens import networks
from convlens.errors import ConvlensError
from convlens.explorer.folding import fold
from convlens.explorer.inside import Clinic
from convlens.explorer.node_numbers import fields, gradients, planned, seconds, weights
from convlens.explorer.shelf import ImageShelf
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


@pytest.fixture(scope="module")
def clinic() -> Clinic:
    return Clinic(ImageShelf(), None)


def test_times_and_gradients_are_those_of_the_modules(clinic):
    patient = clinic.patient("lenet5")
    times = seconds(patient)
    assert 0 < times["c1"] < times[""]
    found = gradients(patient)
    assert found[""] == pytest.approx(1)  # of the likeliest score by itself
    assert found["c1"] > 0
    assert all(parameter.grad is None for parameter in patient.network.parameters())


def test_the_plans_times_are_shared_among_what_its_steps_do(clinic, subjects):
    pytest.importorskip("convlens_kernels")
    sheet = subjects.anatomy("lenet5")
    nodes, _ = fold(sheet, [])
    found = planned(clinic.patient("lenet5"), sheet, nodes)
    assert all(found[name] > 0 for name in ("c1", "s2", "c3", "c5", "f6"))
    assert found["input"] == 0
    assert "relu" not in found  # it joined the convolution, which does it


def test_weights_are_told_in_numbers(clinic):
    patient = clinic.patient("lenet5_digits")
    told = {each["name"]: each for each in weights(patient, "c3")}
    values = patient.network.get_parameter("c3.weight").detach().double()
    assert told["weight"]["shape"] == [16, 6, 5, 5]
    assert told["weight"]["mean"] == pytest.approx(float(values.mean()))
    assert told["weight"]["deviation"] == pytest.approx(float(values.std(correction=0)))
    assert sum(told["weight"]["histogram"]) == values.numel()
    with pytest.raises(ConvlensError, match="has no module 'c9'"):
        weights(patient, "c9")


def test_fields_are_the_anatomys(subjects):
    found = fields(subjects.anatomy("resnet18"), ["conv1", "maxpool", "layer4"])
    assert found == {"conv1": 7, "maxpool": 11, "layer4": 435}


@pytest.mark.browser
def test_a_stage_opens_and_closes_and_the_address_follows(visit, screenshot):
    page = visit("/network?a=resnet18&at=layer1", width=1440)
    page.locator(".node-card").get_by_text("2 × BasicBlock").wait_for()
    page.get_by_role("button", name="Open it").click()
    page.wait_for_url(re.compile("openA=layer1"))
    canvas = page.locator("canvas.viewer-canvas").first
    canvas.focus()
    page.get_by_label("Search").fill("layer1.1")
    page.get_by_role("button", name=re.compile("^layer1.1")).or_(page.get_by_text("Found: 0")).first.wait_for()
    page.get_by_label("Search").fill("layer1.0")
    page.get_by_role("button", name=re.compile("^layer1.0 ")).click()
    page.locator(".node-card").get_by_text("×2").wait_for()  # two equal blocks are one that says so
    canvas.press("Enter")
    page.wait_for_url(re.compile("openA=layer1,layer1.0"))
    screenshot(page, "network")
    page.get_by_role("button", name="Close all").click()
    page.wait_for_url(re.compile(r"a=resnet18"))
    page.wait_for_function("() => !location.search.includes('openA')")


@pytest.mark.browser
def test_the_keyboard_goes_through_the_graph_and_the_card_tells(visit):
    page = visit("/network?a=lenet5_digits")
    canvas = page.locator("canvas.viewer-canvas").first
    canvas.focus()
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    card = page.locator(".node-card")
    card.get_by_role("heading", name="c3").wait_for()
    assert "16×10×10" in card.inner_text()
    assert "2,416" in card.inner_text()
    card.get_by_text("16×6×5×5").wait_for()
    assert "zeros 0" in card.inner_text()
    page.keyboard.press("0")
    card.get_by_role("link", name="Its maps and arithmetic").click()
    page.get_by_role("heading", name="c3, map 0").wait_for()


@pytest.mark.browser
def test_colours_are_measured_and_the_drawing_is_saved(visit):
    page = visit("/network?a=lenet5&tint=time")
    page.locator(".tint-scale").wait_for()
    assert re.search(r"time, measured here:\s+\S+\s(µs|ms)", page.locator(".tint-scale").inner_text())
    for kind, begins in (("SVG", b"<svg"), ("PNG", b"\x89PNG")):
        with page.expect_download() as saved:
            page.get_by_role("button", name=kind, exact=True).click()
        content = saved.value.path().read_bytes()
        assert saved.value.suggested_filename == f"lenet5.{kind.lower()}"
        assert content.startswith(begins)
        if kind == "SVG":
            assert "16×10×10" in content.decode()


@pytest.mark.browser
def test_a_layer_deep_inside_a_large_network_is_found(visit):
    """ResNet-152 fully opened; how long its frames take is for `benchmarks/explorer.py` to say."""
    page = visit("/network?a=resnet152&once=no", width=1440)
    page.get_by_role("button", name="Open everything").click()
    page.wait_for_function("() => location.search.includes('layer3.35')")
    page.get_by_label("Search").fill("layer3.20.conv2")
    page.get_by_role("button", name=re.compile("^layer3.20.conv2")).click()
    page.locator(".node-card").get_by_role("heading", name="layer3.20.conv2").wait_for()


@pytest.mark.browser
def test_the_naive_module_stands_beside_the_reduced_one(visit, screenshot):
    page = visit("/network", width=1440)
    page.get_by_role("button", name="Inception: naive and reduced").click()
    totals = page.get_by_role("row", name=re.compile("^Parameters"))
    expect(totals.get_by_role("cell")).to_have_text(["387,296", "163,696", "2.37×"])
    expect(page.locator("canvas.viewer-canvas:visible")).to_have_count(2)
    screenshot(page, "inception")


@pytest.mark.browser
def test_an_unknown_network_in_the_address_is_said(visit):
    page = visit("/network?a=resnet51")
    expect(page.locator("#notices")).to_contain_text("or resnet50", use_inner_text=True)
    visit.tolerated()
