"""Receptive fields: the API's regions are the anatomy's, and the page's gestures."""

import re

import httpx
import pytest
from playwright.sync_api import expect


@pytest.fixture(scope="module")
def client(address):
    with httpx.Client(base_url=f"{address}/api", timeout=60) as client:
        yield client


def test_the_field_of_resnet50_is_the_measured_one(client):
    """427 pixels and stride 32 at the last stage: measured by input gradients of an all-average network."""
    layers = {each["id"]: each for each in client.get("/field", params={"network": "resnet50"}).json()["layers"]}
    last = layers["layer4.2.add"]
    assert (last["size"], last["stride"], last["map"]) == ([427, 427], [32, 32], [7, 7])
    assert layers["conv1"]["size"] == [7, 7]
    assert last["local"] is None


def test_gates_are_told_apart(client):
    layers = {each["id"]: each for each in client.get("/field", params={"network": "efficientnet_b0"}).json()["layers"]}
    head = layers["head"]
    assert head["global"]
    assert head["local"]["size"] == [851, 851]
    assert layers["stage1.0.depthwise"]["local"] is None


def test_the_unit_is_the_one_that_is_pointed_at(client):
    layers = client.get("/field", params={"network": "lenet5", "across": 1, "down": 0}).json()["layers"]
    first = layers[0]
    assert first["unit"] == [0, 27]
    assert (first["rows"], first["columns"]) == ([0, 4], [27, 31])
    assert client.get("/field", params={"network": "lenet5", "across": 2}).status_code == 400


@pytest.mark.browser
def test_stepping_through_the_layers_grows_the_frame(visit, screenshot):
    page = visit("/field?network=resnet18")
    frame = page.locator(".field-rect.now")
    screenshot(page, "field")
    before = float(frame.get_attribute("width"))
    page.get_by_role("button", name="One step forward").click()
    assert float(frame.get_attribute("width")) > before
    page.wait_for_url(re.compile("step=6"))


@pytest.mark.browser
def test_a_unit_is_chosen_on_the_picture_and_by_the_keyboard(visit):
    page = visit("/field?network=lenet5&step=0&picture=digit")
    facts = page.locator(".facts")
    page.locator("svg.region").click(position={"x": 5, "y": 5})
    page.get_by_text("0 – 4").first.wait_for()
    assert "0, 0" in facts.inner_text()
    page.locator("svg.unit-map").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_text("1 – 5").wait_for()
    page.wait_for_url(re.compile(r"across=0\.0536"))


@pytest.mark.browser
def test_a_gate_is_shown_as_such(visit):
    page = visit("/field?network=efficientnet_b0&step=20")
    expect(page.locator(".gate")).to_contain_text("sees 19 pixels", use_inner_text=True)
    expect(page.locator(".gate-frame")).to_have_count(1)


def test_the_effective_field_lies_inside_the_exact_one(client):
    found = client.get("/field/effective", params={"network": "lenet5", "layer": "c3"}).json()
    assert found["inside"] == pytest.approx(1)
    assert 0 < found["area"] <= 1
    assert found["drawn"] == [32, 32]


@pytest.mark.browser
def test_the_effective_field_is_laid_over_the_picture(visit):
    page = visit("/field?network=resnet20&step=9&picture=flower")
    page.get_by_label("Effective field, as heat").check()
    page.get_by_text("noise images").wait_for()
    assert page.locator("svg.region.heated image.warmth").get_attribute("href").startswith("data:image/png")
    page.wait_for_url(re.compile("effective=yes"))
