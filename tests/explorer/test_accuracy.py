"""Size against accuracy: the literature's numbers, read by pointer and by keyboard, and true to the catalogue."""

import itertools
import re

import pytest


@pytest.mark.browser
def test_the_keyboard_goes_from_network_to_network(visit, screenshot):
    page = visit("/accuracy")
    told = page.locator(".told")
    page.locator("svg.scatter").focus()
    page.keyboard.press("ArrowRight")
    assert spaced(told).startswith("EfficientNet-B0: 5.3 M parameters, 390 M multiply-adds, top-1 77.1 %")
    page.keyboard.press("ArrowRight")
    assert spaced(told).startswith("EfficientNet-B1: 7.8 M")
    page.wait_for_url(re.compile("at=EfficientNet-B1"))
    screenshot(page, "accuracy")


@pytest.mark.browser
def test_pointing_at_a_network_tells_its_numbers(visit):
    page = visit("/accuracy?set=weights")
    page.locator("svg.scatter circle.dot.vgg").last.hover()
    assert "VGG-19" in page.locator(".told").inner_text()


@pytest.mark.browser
def test_what_a_source_does_not_state_is_a_dash(visit):
    page = visit("/accuracy?set=papers")
    row = page.get_by_role("row", name=re.compile("^AlexNet"))
    shown = [text.replace("\u00a0", " ") for text in row.get_by_role("cell").all_inner_texts()]
    assert shown[:4] == ["60 M", "–", "59.3 %", "81.8 %"]


@pytest.mark.browser
def test_the_papers_figure_is_the_papers_alone(visit):
    """GPipe as Tan et al. state it, 84.3; what its own paper states stands among all the papers."""
    page = visit("/accuracy?at=GPipe")
    assert "top-1 84.3 %" in spaced(page.locator(".told"))
    assert page.get_by_role("row", name=re.compile("^GPipe")).count() == 1


def spaced(told) -> str:
    """Its words with plain spaces for those that do not break."""
    return told.inner_text().replace("\u00a0", " ")


@pytest.mark.browser
def test_on_a_phone_no_number_of_an_axis_is_written_over_another(visit):
    page = visit("/accuracy", width=390)
    boxes = page.locator(".scatter text").evaluate_all(
        "(texts) => texts.filter((text) => /\\u00a0[MG]$/.test(text.textContent))"
        ".map((text) => text.getBoundingClientRect()).map((box) => [box.left, box.right])"
    )
    assert len(boxes) >= 3
    assert all(left > right for (_, right), (left, _) in itertools.pairwise(sorted(boxes)))
