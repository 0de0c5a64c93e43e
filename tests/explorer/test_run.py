"""Debugging a run: what its layers hold, its mistakes, and the page."""

import re

import numpy as np
import pytest
import torch
from playwright.sync_api import expect
from torch import nn

from convlens.explorer.debugging import Debugging, _channels


@pytest.fixture(scope="module")
def debugging(run_path) -> Debugging:
    return Debugging(run_path)


def test_layers_are_those_with_weights_for_both_kept_epochs(debugging):
    for which in ("best", "last"):
        found = debugging.layers(which)
        assert [each["layer"] for each in found] == ["c1", "c3", "c5", "f6", "output"]
        weights = debugging.run.load_network(which).get_parameter("c3.weight").detach()
        assert sum(found[1]["weights"]["counts"]) == weights.numel()
        assert found[1]["weights"]["low"] == pytest.approx(float(weights.min()))
        assert all(each["gradients"]["high"] > 0 for each in found)


def test_a_dead_and_a_saturated_channel_are_named():
    network = nn.Conv2d(1, 3, 1)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1, 1))
        network.bias.copy_(torch.tensor([0.0, -1.0, 9.0]))
    output = network(torch.randn(4, 1, 5, 5, generator=torch.Generator().manual_seed(0)))
    assert _channels(torch.relu(output), ["ReLU"]) == {"dead": [1], "saturated": []}
    assert _channels(nn.functional.relu6(output), ["ReLU6"]) == {"dead": [1], "saturated": [2]}
    assert _channels(torch.tanh(output), ["tanh"])["saturated"] == [2]


def test_the_confusion_counts_every_image_and_its_cells_list_theirs(debugging):
    table = np.array(debugging.confusion())
    assert table.sum() == len(debugging.answered.records)
    assert len(debugging.mistakes()) == min(24, table.sum() - table.trace())
    truth, answer = np.argwhere((table > 0) & ~np.eye(len(table), dtype=bool))[0]
    assert len(debugging.mistakes(int(truth), int(answer))) == table[truth, answer]
    for index in debugging.mistakes():
        record, _ = debugging.image(index)
        assert debugging.answered.probabilities[index].argmax() != debugging.run.classes.index(record.label)


def test_augmented_images_are_the_first_epochs(debugging):
    assert debugging.augmented().shape == (16, 32, 32, 1)


@pytest.mark.browser
def test_a_mistake_is_opened_on_page_8(visit, screenshot):
    page = visit("/run")
    expect(page.locator(".run-layer")).to_have_count(5)
    page.locator(".run-cell").first.click()
    page.wait_for_url(re.compile(r"truth=\d+&answer=\d+"))
    page.get_by_text("press the cell again for all mistakes").wait_for()
    page.locator(".run-augmented img").nth(15).wait_for()
    screenshot(page, "run", full_page=True)
    page.locator(".run-open").first.click()
    page.locator("#content[data-shown=inside]").wait_for()
    assert "picture=upload-" in page.url
    page.get_by_text(re.compile("What counted for")).wait_for()
