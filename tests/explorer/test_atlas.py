"""A trained network on one screen: what is shipped, its columns and wires, a map taken apart, and the page."""

import base64
import json
import re
from importlib.resources import files

import numpy as np
import pytest
import torch
from playwright.sync_api import expect

from convlens.errors import ConvlensError
from convlens.explorer.atlas import MOST_COLUMNS, atlas, stages_of, wires
from convlens.explorer.inside import Clinic, best
from convlens.explorer.shelf import ImageShelf
from convlens.explorer.shipped import SHIPPED, open_shipped
from convlens.explorer.unfolding import unfold


@pytest.fixture(scope="module")
def clinic() -> Clinic:
    return Clinic(ImageShelf(), None)


@pytest.mark.parametrize(("name", "answer"), [("lenet5_digits", "0"), ("resnet8_clothes", "ankle boot")])
def test_what_is_shipped_is_trained_and_right(clinic, name, answer):
    look = clinic.look(name, SHIPPED[name][3])
    assert look.patient.trained
    found = best(look)[0]
    assert found["label"] == answer
    assert found["probability"] > 0.8


def test_the_photo_network_knows_the_bundled_photographs(clinic):
    said = [best(clinic.look("resnet8_clothes", picture))[0]["label"] for picture in ("boot", "dress", "shirt")]
    assert said == ["ankle boot", "dress", "shirt"]


def test_s4_of_lenet_is_16_maps_of_5_by_5(clinic):
    assert clinic.patient("lenet5_digits").node("s4").shape == (16, 5, 5)


@pytest.mark.parametrize("name", ["lenet5_digits", "resnet20", "googlenet", "efficientnet_b0"])
def test_every_layer_is_in_one_stage_that_fits(clinic, name):
    patient = clinic.patient(name)
    stages = stages_of(patient)
    placed = [layer for stage in stages for layer in stage.layers]
    assert len(placed) == len(set(placed))
    assert all(len(stage.layers) <= MOST_COLUMNS for stage in stages)
    computes = {node.id for node in patient.nodes.values() if node.rows and any(row.macs for row in node.rows)}
    assert computes <= set(placed)


@pytest.mark.parametrize(
    ("network", "picture", "layer", "channel"),
    [
        ("resnet8_clothes", "boot", "layer1.0.conv2", 3),
        ("resnet8_clothes", "boot", "layer2.0.add", 5),
        ("lenet5_digits", "digit", "s4", 2),
        ("efficientnet_b0", "temple", "stage1.0.depthwise.conv", 7),
    ],
)
def test_a_map_comes_apart_into_maps_that_it_is_wired_to(clinic, network, picture, layer, channel):
    """The wires drawn on the page and the sum that unfolds read the same maps."""
    look = clinic.look(network, picture)
    place = next((name for name in look.patient.nodes if name.startswith(layer.removesuffix(".conv"))), layer)
    (wire,) = wires(look.patient, place)[:1]
    count = look.patient.node(wire["from"]).shape[0]
    read = [
        number
        for number in range(count)
        if wire["kind"] == "all"
        or (wire["kind"] == "same" and number == channel - wire["offset"])
        or (wire["kind"] == "groups" and number // wire["reads"] == channel // wire["gives"])
    ]
    assert len(read) == (count if wire["kind"] == "all" else 1)
    found = unfold(look, place, channel)
    assert {source["channel"] for source in found["sources"] if source["from"] == wire["from"]} <= set(read)


def test_a_map_taken_apart_adds_up(clinic):
    look = clinic.look("resnet8_clothes", "boot")
    found = unfold(look, "layer2.0.conv1", 3)
    assert [step["name"] for step in found["steps"]] == ["convolution", "norm", "ReLU"]
    assert found["left_out"] == 0
    total = np.sum(found["share_numbers"], axis=0)
    assert total == pytest.approx(np.array(found["steps"][0]["numbers"]), abs=2e-3)
    assert np.array(found["steps"][-1]["numbers"]) == pytest.approx(look.output("layer2.0.conv1")[3].numpy(), abs=2e-3)
    with pytest.raises(ConvlensError, match="layer conv1 has no channel 8; it has 8"):
        unfold(look, "conv1", 8)


def test_small_maps_are_the_layers_own(clinic):
    look = clinic.look("resnet8_clothes", "boot")
    column = next(each for each in atlas(look, "")["columns"] if each["id"] == "layer3.0.add")
    levels = np.frombuffer(base64.b64decode(column["levels"]), np.uint8).reshape(-1, *column["drawn"])
    values = column["low"] + levels / 255 * (column["high"] - column["low"])
    expected = look.output("layer3.0.add")[column["shown"]].numpy()
    assert values == pytest.approx(expected, abs=(column["high"] - column["low"]) / 254)
    with pytest.raises(ConvlensError, match="unknown stage 'layer9'"):
        atlas(look, "layer9")


def test_what_is_shipped_says_how_it_was_trained():
    from safetensors import safe_open

    for file, *_ in SHIPPED.values():
        with safe_open(str(files("convlens.explorer").joinpath("trained", file)), "pt") as opened:
            about = json.loads(opened.metadata()["convlens"])
        assert about["script"] == "benchmarks/explorer_networks.py"
        assert about["top1"] > 0.9
    assert not any(torch.isnan(value).any() for value in open_shipped("lenet5_digits").network.state_dict().values())


@pytest.mark.browser
def test_pointing_lights_what_a_map_reads_and_pressing_takes_it_apart(visit, screenshot):
    page = visit("/inside?network=resnet8_clothes&picture=boot", width=1440)
    columns = page.locator(".column:not(.outputs)")
    expect(columns).to_have_count(13)
    expect(page.locator(".outputs")).to_contain_text("ankle boot", use_inner_text=True)
    sprite = page.locator(".sprite").nth(5)
    sprite.hover(position={"x": 8, "y": 40})
    page.get_by_text("layer2.0.conv1, map 1: reads 8 maps of layer1.0.add").wait_for()
    sprite.click(position={"x": 8, "y": 40})
    page.wait_for_url(re.compile("layer=layer2.0.conv1&channel=1"))
    expect(page.locator(".unfolded-row")).to_have_count(8)
    steps = page.locator(".unfolded .step-name")
    expect(steps).to_have_text(["Σ", "Normalisation", "ReLU"])
    shown = page.locator(".unfolded-step .part").last
    expect(shown).not_to_be_empty()
    assert "good" in page.locator(".verdict").get_attribute("class")
    screenshot(page, "inside")
    before = shown.inner_text()
    page.locator(".unfolded").get_by_role("button", name="One step back").click()
    page.wait_for_url(re.compile(r"row=\d+"))
    page.wait_for_function(
        "before => [...document.querySelectorAll('.unfolded-step .part')].at(-1).innerText !== before", arg=before
    )
    page.locator(".unfolded").get_by_role("button", name="Close").click()
    expect(page.locator(".unfolded")).to_have_count(0)


@pytest.mark.browser
def test_the_keyboard_goes_through_the_columns(visit):
    page = visit("/inside?network=lenet5_digits")
    page.locator(".sprite").nth(2).focus()
    page.keyboard.press("ArrowDown")
    page.get_by_text("s2, map 1: reads 1 maps of c1").wait_for()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="s2, map 1").wait_for()


@pytest.mark.browser
def test_untrained_weights_are_said_in_large_letters(visit):
    page = visit("/inside?network=resnet20&picture=temple")
    banner = page.get_by_text("Untrained weights.")
    assert float(banner.evaluate("each => parseFloat(getComputedStyle(each).fontSize)")) >= 22
    expect(page.get_by_role("button", name="Heat", exact=True)).to_be_hidden()
    page.get_by_role("button", name="The part after").click()
    page.wait_for_url(re.compile("stage="))
