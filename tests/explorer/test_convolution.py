"""The convolution page in a real browser: the lecture's numbers, the gestures, the address."""

import re

import pytest
import torch
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def numbers(page, tone: str) -> list[str]:
    cells = page.locator(f".number-grid.tone-{tone}").first.locator(".cell")
    shown = cells.evaluate_all("cells => cells.map(cell => cell.dataset.value)")
    return [number.replace("−", "-") for number in shown]


def total(page) -> str:
    return page.locator(".sum-total").inner_text()


def shown(page, text: str) -> None:
    page.wait_for_function("text => document.querySelector('.sum-total').innerText.includes(text)", arg=text)


def test_the_lecture_example_is_what_one_sees_first(visit, screenshot):
    page = visit("/convolution")
    assert numbers(page, "output") == ["12", "12", "17", "10", "17", "19", "9", "6", "14"]
    assert total(page) == "7 + 0 + 5 = 12"
    expect(page.locator(".formula .of-output")).to_have_text(["3", "3"])
    screenshot(page, "convolution")


def test_stepping_moves_the_window_and_the_address_follows(visit):
    page = visit("/convolution")
    page.get_by_role("button", name="One step forward").click()
    page.get_by_role("button", name="One step forward").click()
    assert total(page).endswith("= 17")
    page.wait_for_url(re.compile(r"\?step=2$"))
    page.locator(".number-grid.tone-output").get_by_role("button", name="row 2, column 3").click()
    assert total(page).endswith("= 19")


def test_an_address_restores_what_was_seen(visit):
    page = visit("/convolution?operation=convolution&stride=2&padding=1&mode=reflect&step=3&input=1,2,3;4,5,6;7,8,9")
    seen = (numbers(page, "input"), numbers(page, "output"), total(page))
    page.get_by_role("button", name="One step forward").click()
    page.get_by_role("button", name="One step back").click()
    page.reload()
    page.locator("#content[data-shown]").wait_for()
    assert (numbers(page, "input"), numbers(page, "output"), total(page)) == seen
    assert "mode=reflect" in page.url
    assert "input=1,2,3;4,5,6;7,8,9" in page.url


def test_rows_and_columns_have_their_own_stride_and_padding(visit):
    page = visit("/convolution?stride=2&padding=1")  # an address from before there were two
    assert len(numbers(page, "output")) == 9
    expect(page.get_by_role("slider", name="columns")).to_have_count(0)
    page.get_by_role("switch", name="Rows and columns apart").click()
    page.get_by_role("group", name="Stride").get_by_role("slider", name="columns").fill("1")
    expect(page.locator(".formula .of-output")).to_have_text(["3", "5"])
    page.wait_for_url(re.compile(r"stride=2,1&padding=1$"))
    page.reload()
    page.locator("#content[data-shown]").wait_for()
    expect(page.locator(".formula .of-output")).to_have_text(["3", "5"])
    expect(page.get_by_role("switch", name="Rows and columns apart")).to_be_checked()
    page.get_by_role("switch", name="Rows and columns apart").click()
    page.wait_for_url(re.compile(r"stride=2&padding=1$"))
    expect(page.locator(".formula .of-output")).to_have_text(["3", "3"])


@pytest.mark.parametrize("width", [1360, 390])
def test_a_transposed_convolution_walks_over_the_stretched_input(visit, width):
    page = visit(
        "/convolution?operation=transposed&stride=2,1&input=1,2;3,4&kernel=1,2;3,4&output_padding=1,0", width=width
    )
    assert numbers(page, "output") == ["1", "4", "4", "3", "10", "8", "3", "10", "8", "9", "24", "16", "0", "0", "0"]
    expect(page.locator(".formula .of-output")).to_have_text(["5", "3"])
    expect(page.get_by_label("Padding with")).to_be_hidden()
    cells = page.get_by_role("group", name="Input, channel 1")
    assert cells.locator("input").count() == 4  # only the input's own cells can be changed
    cells.get_by_label("row 2, column 1").fill("0")
    page.wait_for_function("() => document.querySelectorAll('.tone-output .cell')[9].dataset.value === '0'")
    cells.get_by_label("row 1, column 1").focus()
    page.keyboard.press("ArrowDown")  # over the row of zeros in between
    assert cells.get_by_label("row 2, column 1").evaluate("cell => cell === document.activeElement")


def test_a_transposed_convolution_enlarges_the_picture(visit):
    page = visit("/convolution?operation=transposed&stride=2&picture=digit")
    sizes = page.locator(".pair figcaption")
    expect(sizes.nth(0)).to_have_text("64×64")
    expect(sizes.nth(1)).to_contain_text("129×129")


def test_editing_a_number_changes_the_sum(visit):
    page = visit("/convolution")
    cell = page.get_by_role("group", name="Kernel, plane 1").get_by_label("row 1, column 1")
    cell.fill("-2")
    shown(page, "= 6")  # 12 + 3 · (−2)
    cell.fill("two")
    assert cell.get_attribute("aria-invalid") == "true"
    assert total(page).endswith("= 6")


def test_keyboard_alone_is_enough(visit):
    page = visit("/convolution")
    page.locator("h1").focus()
    page.keyboard.press("ArrowRight")
    assert total(page).startswith("4 + 2 + 6")
    page.keyboard.press("End")
    assert total(page).endswith("= 14")
    page.keyboard.press("Home")
    first = page.get_by_role("group", name="Input, channel 1").get_by_label("row 1, column 1")
    first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.type("5")
    shown(page, "= 22")  # the cell in row 2, column 2 has weight 2 in the first window


def test_playing_walks_to_the_end_and_stops(visit):
    page = visit("/convolution?input=1,2,3;4,5,6&kernel=1,1;1,1")
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("() => document.querySelector('.player-where').textContent === '2 of 2'")
    page.get_by_role("button", name="Play").wait_for()
    assert total(page) == "5 + 11 = 16"


def test_channels_filters_and_groups(visit):
    page = visit("/convolution")
    page.get_by_text("Sizes, channels and groups").click()
    page.get_by_role("button", name="Input channels: more").click()
    page.get_by_role("button", name="Filters (output channels): more").click()
    page.get_by_role("button", name="Groups: more").click()
    page.wait_for_function("() => document.querySelectorAll('.number-grid.tone-output').length === 2")
    # with two groups a filter reads one channel
    page.wait_for_function("() => document.querySelectorAll('.number-grid.tone-kernel').length === 1")
    page.wait_for_url(re.compile("groups=2"))


def test_what_does_not_fit_is_said_in_one_line(visit):
    page = visit("/convolution?input=1,2;3,4")
    message = page.get_by_role("status").inner_text()
    assert "spans 3" in message
    visit.tolerated()  # Chromium itself writes every answer with status 400 to the console


def test_the_kernel_is_applied_to_a_picture(visit):
    page = visit("/convolution?picture=digit")
    after = page.get_by_alt_text("The picture after the kernel")
    before = after.get_attribute("src")
    page.get_by_role("button", name="Laplace").click()
    page.wait_for_function("before => document.querySelector('.pair figure:last-child img').src !== before", arg=before)
    assert after.evaluate("image => image.naturalWidth") == 62


def test_the_formula_is_lit_term_by_term(visit):
    page = visit("/convolution?step=4")
    page.locator("[data-term='5']").hover()
    said = page.locator(".lit-term").inner_text()
    assert said == "c_in = 0, m = 1, n = 2: f(1·s+1·d−p, 1·s+2·d−p, 0) · w(1, 2, 0, 0) = 2 · 0 = 0"
    expect(page.locator(".cell.lit")).to_have_count(2)
    page.locator("h1").hover()
    expect(page.locator(".cell.lit")).to_have_count(0)
    page.get_by_role("button", name="Term by term").click()
    page.locator("[data-term='1'].lit").wait_for()


def test_the_line_of_pytorch_makes_this_layer(visit):
    page = visit(
        "/convolution?stride=2,1&padding=1&mode=reflect&filters=2&input=1,2,3;4,5,6;7,8,9&kernel=1,2;3,4_0,1;1,0&bias=1"
    )
    line = page.locator(".code-line").inner_text()
    layer = eval(line, {"torch": torch})
    assert isinstance(layer, torch.nn.Conv2d)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[[[1.0, 2], [3, 4]]], [[[0, 1], [1, 0]]]]))
        layer.bias.fill_(1)
        output = layer(torch.arange(1.0, 10).reshape(1, 1, 3, 3))[0]
    assert numbers(page, "output") == [f"{value:g}" for value in output[0].flatten().tolist()]
    page.get_by_role("button", name="groups: go to its control").click()
    expect(page.locator("[data-stepper=groups]")).to_be_visible()
    assert page.evaluate("document.activeElement.closest('.stepper')?.dataset.stepper") in ("groups", None)
    page.get_by_role("button", name="dilation: go to its control").click()
    assert page.evaluate("document.activeElement.name") == "dilation"
