"""The page of the image as a tensor in a real browser, and the numbers behind it."""

import io
import re

import numpy as np
import pytest
from PIL import Image as PillowImage
from playwright.sync_api import expect

from convlens.errors import ConvlensError
from convlens.explorer.api.image import Pixel, _pixel, _plane, _whole, gray
from convlens.explorer.shelf import png

pytestmark = pytest.mark.browser


@pytest.fixture
def temple(explorer_session):
    return explorer_session.images.get("temple").pixels


def wait_for_pixel(page, text: str) -> None:
    page.wait_for_function("text => document.querySelector('.image-pixel').innerText.includes(text)", arg=text)


def test_the_pixels_numbers_are_the_pictures(visit, temple, screenshot):
    page = visit("/image?row=50&column=60")
    red, green, blue = (int(value) for value in temple[50, 60])
    assert f"row 50, column 60 = ({red}, {green}, {blue})" in page.locator(".image-pixel").inner_text()
    expect(page.locator(".image-shape")).to_contain_text("(H, W, C) = (427, 640, 3)", use_inner_text=True)
    cells = page.get_by_role("group", name="Green", exact=True).locator(".cell")
    shown = cells.evaluate_all("cells => cells.map(cell => Number(cell.dataset.value))")
    assert shown == temple[47:54, 57:64, 1].ravel().tolist()
    screenshot(page, "image")


def test_the_cross_follows_the_pointer_until_it_is_held(visit):
    page = visit("/image")
    frame = page.get_by_role("group", name="The picture: arrow keys")
    box = frame.bounding_box()
    page.mouse.move(box["x"] + 10, box["y"] + 10)
    page.mouse.down()
    page.mouse.up()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_url(re.compile(r"row=21\d&column=(319|320)"))
    page.mouse.down()
    page.mouse.up()
    held = page.locator(".image-pixel").inner_text()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    assert page.locator(".image-pixel").inner_text() == held


def test_the_keyboard_moves_it_too(visit):
    page = visit("/image?row=5&column=5")
    page.get_by_role("group", name="The picture: arrow keys").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    wait_for_pixel(page, "row 15, column 6")
    page.get_by_role("group", name="Red", exact=True).get_by_role("button", name="row 1, column 1").click()
    wait_for_pixel(page, "row 12, column 3")


def test_normalisation_goes_there_and_back(visit, temple):
    page = visit("/image?row=50&column=60")
    line = page.locator("[data-channel=red]").inner_text().replace("−", "-")
    value = int(temple[50, 60, 0])
    assert f"{(value / 255 - 0.485) / 0.229:.4g}" in line
    assert line.endswith(f" {value}")
    page.get_by_role("button", name="0.5 and 0.5").click()
    page.wait_for_function("() => document.querySelector('[data-channel=red]').innerText.includes('− 0.5')")
    expect(page.locator(".image-after")).to_contain_text("the largest difference is 0", use_inner_text=True)


def test_a_gray_picture_has_one_channel(visit):
    page = visit("/image?picture=digit&row=0&column=0")
    expect(page.locator(".image-shape")).to_contain_text("(N, C, H, W) = (1, 1, 64, 64)", use_inner_text=True)
    expect(page.locator(".image-grids .number-grid")).to_have_count(1)


def test_a_picture_is_uploaded(visit):
    page = visit("/image?row=1&column=1")
    file = io.BytesIO()
    PillowImage.fromarray(np.full((9, 8, 3), (1, 2, 3), np.uint8)).save(file, "PNG")
    content = {"name": "own.png", "mimeType": "image/png", "buffer": file.getvalue()}
    page.get_by_label("Use a picture of your own").set_input_files(content)
    wait_for_pixel(page, "(1, 2, 3)")
    expect(page.locator(".image-shape")).to_contain_text("(H, W, C) = (9, 8, 3)", use_inner_text=True)


def test_a_tall_picture_is_no_higher_than_the_window(visit):
    page = visit("/image")
    file = io.BytesIO()
    PillowImage.new("RGB", (20, 900), "teal").save(file, "PNG")
    content = {"name": "tall.png", "mimeType": "image/png", "buffer": file.getvalue()}
    page.get_by_label("Use a picture of your own").set_input_files(content)
    expect(page.locator(".image-shape")).to_contain_text("(900, 20, 3)")
    tallest = "Math.max(...[...document.querySelectorAll('main img')].map((image) => image.clientHeight))"
    page.wait_for_function(f"{tallest} > 600")  # its shape is told before it is drawn
    assert page.evaluate(tallest) <= 900


def test_a_picture_is_taken_with_the_camera(visit):
    page = visit("/image", permissions=["camera"])
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take the picture").click()
    page.wait_for_url(re.compile("picture=upload-"))
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_camera_that_is_refused_is_said(visit):
    page = visit("/image")
    refuse = "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'))"
    page.evaluate(f"() => {{ {refuse}; }}")
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_text("The browser gives no camera (NotAllowedError)").wait_for()


def test_gray_is_what_pillow_makes_of_it(temple):
    pillows = np.asarray(PillowImage.fromarray(temple).convert("L"))
    assert np.abs(gray(temple).astype(int) - pillows).max() <= 1  # Pillow rounds in 16 bits
    assert (gray(temple) == pillows).mean() > 0.99


def test_offsets_are_where_the_numbers_lie(temple):
    found = _pixel(temple, Pixel(picture="temple", row=400, column=7))
    assert [int(temple.ravel()[offset]) for offset in found["offset_hwc"]] == found["value"]
    planes = np.ascontiguousarray(temple.transpose(2, 0, 1)).ravel()
    assert [int(planes[offset]) for offset in found["offset_chw"]] == found["value"] == found["restored"]


@pytest.mark.parametrize("normalisation", ["imagenet", "half", "none"])
def test_no_value_is_lost(normalisation):
    every = np.stack([np.arange(256, dtype=np.uint8).reshape(16, 16)] * 3, axis=2)
    assert _whole(every, normalisation)["lost"] == 0
    assert _plane(every, "normalised", normalisation).shape == (16, 16, 3)


def test_a_plane_that_is_not_there(temple):
    with pytest.raises(ConvlensError, match="plane='alpha': ask for red, green, blue, gray or normalised"):
        _plane(temple, "alpha", "none")


def test_uploads_keep_their_order_and_names_and_can_be_removed(visit):
    page = visit("/image")
    for name, shade in (("red cat.png", 10), ("blue cat.png", 20)):
        content = {"name": name, "mimeType": "image/png", "buffer": png(np.full((6, 5, 3), shade, np.uint8))}
        page.get_by_label("Use a picture of your own").set_input_files(content)
        page.get_by_role("button", name=name, exact=True).wait_for()
    red = page.get_by_role("button", name="red cat.png", exact=True)
    red.click()
    page.wait_for_url(re.compile(f"picture={red.get_attribute('value')}"))  # the blue one was there before
    page.reload()
    own = page.locator(".picture[value^=upload-]")
    own.last.wait_for()
    assert own.evaluate_all("all => all.map((each) => each.ariaLabel)")[-2:] == ["red cat.png", "blue cat.png"]
    page.get_by_role("button", name="Remove red cat.png").click()
    page.get_by_role("button", name="red cat.png", exact=True).wait_for(state="detached")
    page.wait_for_function("() => !location.search.includes('upload-')")


def test_a_file_may_be_let_go_anywhere_on_the_page(visit):
    page = visit("/pooling")
    content = list(png(np.full((5, 6, 3), 77, np.uint8)))
    transfer = page.evaluate_handle(
        """(bytes) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
          return transfer;
        }""",
        content,
    )
    page.dispatch_event("h1", "dragover", {"dataTransfer": transfer})
    page.dispatch_event("h1", "drop", {"dataTransfer": transfer})
    page.get_by_role("button", name="dropped.png", exact=True).wait_for()
