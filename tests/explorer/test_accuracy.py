"""Size against accuracy: the literature's numbers, read by pointer and by keyboard, and true to the catalogue."""

import itertools
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from convlens.choosing.frontier import Entry, Frontier
from convlens.choosing.limits import Costs
from convlens.explorer.session import Session

from .conftest import answering


def entry(name, parameters, top1):
    costs = Costs(parameters=parameters, macs=9 * parameters, file_bytes=parameters, memory_bytes=None, latency_ms=1.5)
    about = {"network": "lenet5", "size": (32, 32), "weights": None, "status": "finished", "costs": costs}
    return Entry(name=name, **about, top1=top1, low=top1 - 0.02, high=top1 + 0.02)


STUDY = Frontier(
    study=Path("study"),
    data="photos",
    split="test",
    images=360,
    limits={},
    entries=(entry("large-32", 900_000, 0.96), entry("small-32", 30_000, 0.95)),
    comparisons=(),
    recommended="small-32",
    because="",
    stopped_because="",
    seconds=1.0,
    processor="",
    threads=1,
)


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
    expect(page.locator(".told")).to_contain_text("VGG-19", use_inner_text=True)


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


@pytest.mark.browser
def test_a_study_is_shown_beside_the_papers(browser):
    with answering(Session(study=STUDY)) as address:
        page = browser.new_page()
        page.goto(f"{address}/accuracy?set=study&at=small-32")
        told = page.locator(".told").filter(has_text="small-32")
        assert "30 k parameters" in spaced(told)
        assert "top-1 95 %" in spaced(told)
        assert "recommended" in spaced(told)
        assert page.locator("svg.scatter circle.dot").count() == 2
        page.close()


@pytest.mark.browser
def test_without_a_study_there_is_none_to_choose(visit):
    page = visit("/accuracy")
    assert page.get_by_text("Published weights").count() == 1
    assert page.get_by_text("Your study").count() == 0
