"""The pooling page in a real browser: the lecture's numbers, the gestures, the address."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from convlens.explorer.api.pooling import shifted

pytestmark = pytest.mark.browser


def numbers(page, label: str) -> list[str]:
    cells = page.get_by_role("group", name=label, exact=True).locator(".cell")
    return [number.replace("−", "-") for number in cells.evaluate_all("cells => cells.map(cell => cell.dataset.value)")]


def results(page) -> list[str]:
    return [text.replace("−", "-") for text in page.locator(".pooled-sums strong").all_inner_texts()]


def test_the_lecture_example_is_what_one_sees_first(visit, screenshot):
    page = visit("/pooling")
    assert numbers(page, "Maximum") == ["2", "2", "5", "4"]
    assert numbers(page, "Mean") == ["-0.25", "0.75", "1.25", "1.75"]
    assert results(page) == ["2", "-0.25"]
    expect(page.locator(".pooled-sums")).to_contain_text("max(2, −4, 0, 1) = 2", use_inner_text=True)
    expect(page.locator(".pooled-sums")).to_contain_text("(2 + (−4) + 0 + 1) / 4 = −0.25", use_inner_text=True)
    screenshot(page, "pooling")


def test_on_a_phone_the_sums_are_read_to_their_end(visit):
    sums = visit("/pooling", width=390, language="ru").locator(".pooled-sums")
    assert sums.evaluate("(box) => box.scrollWidth - box.clientWidth") == 0


def test_stepping_marks_the_chosen_number(visit):
    page = visit("/pooling")
    page.locator("h1").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert results(page) == ["5", "1.25"]
    chosen = page.locator(".tone-input .cell.now")
    assert chosen.count() == 1
    assert chosen.get_attribute("data-value") == "5"
    page.wait_for_url(re.compile(r"\?step=2$"))
    page.get_by_role("group", name="Mean", exact=True).get_by_role("button", name="row 2, column 2").click()
    assert results(page) == ["4", "1.75"]


def test_an_address_restores_what_was_seen(visit):
    page = visit("/pooling?window=3&stride=1&padding=1&include=no&step=5&input=1,2,3;4,5,6;7,8,9")
    assert numbers(page, "Maximum") == ["5", "6", "6", "8", "9", "9", "8", "9", "9"]
    assert results(page) == ["9", "5.5"]  # the six cells of the input: (2 + 3 + 5 + 6 + 8 + 9) / 6
    page.get_by_role("switch", name="The mean counts padded cells").click()
    page.wait_for_function("() => document.querySelector('[data-of=average]').innerText.startsWith('3.667')")
    page.wait_for_url(lambda url: "include" not in url and "window=3" in url)


def test_editing_a_number_changes_both(visit):
    page = visit("/pooling")
    page.get_by_role("group", name="Input", exact=True).get_by_label("row 1, column 1").fill("-8")
    page.wait_for_function("() => document.querySelector('[data-of=max]').innerText === '1'")
    assert results(page) == ["1", "-2.75"]


def test_moving_by_a_whole_stride_only_moves_the_outputs(visit):
    page = visit("/pooling?picture=digit&right=0")
    row = page.locator("[data-row=max]")
    assert "mean change 0 %; 100 % of the values" in row.inner_text().replace("\u00a0", " ")
    page.get_by_label("Pixels to the right").fill("1")
    page.wait_for_function("() => !document.querySelector('[data-row=max]').innerText.includes('change 0\u00a0%')")
    assert row.locator("img").evaluate_all("images => images.every(image => image.complete)")


def test_what_does_not_fit_is_said_in_one_line(visit):
    page = visit("/pooling?window=2&padding=2")
    expect(page.get_by_role("status")).to_contain_text("more than half of the window's 2 cells", use_inner_text=True)
    visit.tolerated()  # Chromium itself writes every answer with status 400 to the console


def test_a_picture_moves_and_its_border_is_repeated():
    image = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(shifted(image, 0, -2)[:, :2], image[:, 2:])
    np.testing.assert_array_equal(shifted(image, 1, 0)[1:], image[:-1])
    np.testing.assert_array_equal(shifted(image, 1, 0)[0], image[0])
