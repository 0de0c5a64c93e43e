"""The page of sliding signals in a real browser, and the sums behind it."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from convlens.explorer.api.signals import SAMPLES, WIDTH, shape

pytestmark = pytest.mark.browser


def area(page) -> float:
    return float(page.locator(".signal-stage .sum strong").inner_text().replace("−", "-"))


def wait_for_area(page, text: str) -> None:
    page.wait_for_function("text => document.querySelector('.signal-stage .sum strong')?.innerText === text", arg=text)


def test_the_figure_of_the_lecture_is_what_one_sees_first(visit, screenshot):
    page = visit("/signals")
    expect(page.locator(".signal-stage .sum")).to_contain_text(
        "∫ f(τ) g(t − τ) dτ = area at t = −0.3", use_inner_text=True
    )
    # box and flipped ramp: from −0.5 to 0.2 the product rises from 0.3 to 1
    assert area(page) == pytest.approx(np.trapezoid([0.3, 1], [-0.5, 0.2]), abs=WIDTH)
    assert page.locator(".signal-choice[aria-pressed=true]").get_attribute("value") == "convolution"
    screenshot(page, "signals")


def test_the_area_is_the_integral_at_every_place(visit):
    page = visit("/signals?operation=autocorrelation&step=39")
    assert area(page) == pytest.approx(1)
    page.locator("h1").focus()
    page.keyboard.press("ArrowRight")
    assert area(page) == pytest.approx(1 - WIDTH)
    page.keyboard.press("End")
    assert area(page) == 0
    page.wait_for_url(re.compile("step=78"))


def test_swapping_mirrors_the_correlation_and_leaves_the_convolution(visit):
    page = visit("/signals?f=decay&g=pulses&step=30")
    convolution = area(page)
    page.locator(".signal-choice[value=correlation]").click()
    page.wait_for_function("() => document.querySelector('.sum').innerText.includes('τ − t')")
    correlation = area(page)
    assert correlation != convolution
    page.get_by_role("button", name="Swap f and g").click()
    page.get_by_label("Step", exact=True).fill("48")
    wait_for_area(page, f"{correlation:.4g}")
    page.locator(".segments button[value=convolution]").click()
    page.get_by_label("Step", exact=True).fill("30")
    wait_for_area(page, f"{convolution:.4g}")


def test_a_signal_is_drawn_with_the_pointer_and_with_the_keyboard(visit):
    page = visit("/signals?operation=autocorrelation&step=39")
    sketch = page.get_by_role("slider", name="Draw the signal f")
    sketch.scroll_into_view_if_needed()
    box = sketch.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.15, box["y"] + box["height"] * 0.75)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.75, steps=3)
    page.mouse.up()
    assert page.get_by_label("Signal f", exact=True).input_value() == "own"
    sketch.focus()
    before = sketch.get_attribute("aria-valuetext")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    assert sketch.get_attribute("aria-valuetext") != before
    page.wait_for_url(lambda url: "f=own" in url and "drawnF=" in url)
    page.wait_for_timeout(300)  # the address is written a moment after the last change
    drawn = np.array([int(value) for value in re.search(r"drawnF=([-0-9,]+)", page.url)[1].split(",")]) / 100
    assert np.ptp(drawn) > 0.5
    energy = f"{(drawn**2).sum() * WIDTH:.4g}"
    wait_for_area(page, energy)
    page.reload()
    page.locator("#content[data-shown]").wait_for()
    wait_for_area(page, energy)


def test_pressing_the_result_goes_there(visit):
    page = visit("/signals")
    plot = page.get_by_role("img", name="The result; press to go to a place")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + 40)
    page.wait_for_function("() => !document.querySelector('.player-where').innerText.startsWith('34')")


def test_shapes_have_their_areas():
    assert all(len(shape(name)) == SAMPLES for name in ("box", "ramp", "triangle", "bell", "decay", "wave", "pulses"))
    assert shape("triangle").sum() * WIDTH == pytest.approx(0.5)
    assert shape("ramp").sum() * WIDTH == pytest.approx(0.5, abs=WIDTH)
    assert shape("edge").sum() == 0
