"""The vanishing gradient: what the figures say, and the page."""

import json
import re
from importlib.resources import files

import pytest
import torch

from convlens.explorer.vanishing import flows, measure


@pytest.fixture(scope="module")
def known() -> dict:
    return json.loads(files("convlens.explorer").joinpath("trained", "gradients.json").read_text("utf-8"))["found"]


def share(flow: dict) -> float:
    """The first layer's part of the last layer's gradient."""
    return flow["gradient"][0] / flow["gradient"][-1]


def test_without_residual_blocks_nothing_comes_back_through_34_layers(known):
    found = known["34 before 2015"]
    assert len(found["plain"]["before"]["gradient"]) == len(found["residual"]["before"]["gradient"]) == 33
    assert share(found["plain"]["before"]) < 1e-5
    assert share(found["residual"]["before"]) > 0.1


def test_what_is_shipped_is_what_is_measured(known):
    *_, found = measure(34, norm=False, epochs=1)
    for kind in ("plain", "residual"):
        for what in ("signal", "gradient"):
            assert found[kind]["before"][what] == pytest.approx(known["34 before 2015"][kind]["before"][what], rel=0.02)


def test_the_flow_of_a_linear_layer_is_known():
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1, bias=False), torch.nn.Flatten())
    torch.nn.init.constant_(network[0].weight, 2.0)
    images = torch.tensor([[[[3.0, 4.0]]]])
    found = flows(network, images, torch.tensor([0]))
    probability = torch.softmax(torch.tensor([6.0, 8.0]), 0)
    assert found["signal"] == pytest.approx([(50.0) ** 0.5])  # 6 and 8
    assert found["gradient"] == pytest.approx([float(probability[1]) * 2**0.5])


@pytest.mark.browser
def test_one_sentence_says_what_the_curves_show(visit, screenshot):
    page = visit("/gradient")
    said = page.locator(".gradient-sentence").inner_text()
    assert re.match(r"Through 33 plain layers, \S+·10⁻\S+ of the gradient", said)
    screenshot(page, "gradient")
    page.get_by_role("button", name="in 2015").click()
    page.get_by_text("With batch norm nothing vanishes").wait_for()
    page.get_by_role("button", name="plain20 / resnet20").click()
    page.get_by_role("button", name="after it").click()
    page.wait_for_url(re.compile("pair=plain20&norm=yes&moment=after"))


@pytest.mark.browser
@pytest.mark.slow
def test_it_is_measured_here(visit):
    page = visit("/gradient")
    page.get_by_role("button", name="Measure it here").click()
    page.get_by_text("Measured here").wait_for(timeout=120_000)
