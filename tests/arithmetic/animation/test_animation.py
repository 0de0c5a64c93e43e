import re
import shutil
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convlens.arithmetic import ArithmeticSettingError, pool_steps, steps, transposed_steps
from convlens.arithmetic.animation import save_animation, scene
from convlens.arithmetic.animation.colours import ROLES
from convlens.arithmetic.animation.gif import frames
from convlens.arithmetic.animation.svg import svg
from convlens.errors import UnknownNameError

X, KERNEL = np.arange(12).reshape(3, 4), np.array([[1, -2], [0, 3]])
WALKS = {
    "lecture": lambda: steps(X, KERNEL),
    "uneven": lambda: steps(X, KERNEL, 0.5, stride=(1, 2), padding=((0, 1), (2, 0)), padding_mode="reflect"),
    "dilated": lambda: steps(X, KERNEL, dilation=(2, 3)),
    "transposed": lambda: transposed_steps(X, KERNEL, stride=2, padding=1, output_padding=1),
    "channels": lambda: steps(np.ones((2, 4, 4)), np.ones((3, 2, 2, 2)), operation="convolution"),
    "max": lambda: pool_steps(X, 2, padding=1),
    "average": lambda: pool_steps(X, (2, 1), operation="average", ceil_mode=True),
    "large": lambda: steps(np.arange(70.0 * 50).reshape(70, 50), np.ones((9, 9)) / 81, stride=15),
}
BLUE, ORANGE, GREEN = (tuple(bytes.fromhex(ROLES[role].fill[1:])) for role in ("input", "window", "current"))


@pytest.fixture(params=sorted(WALKS))
def walk(request):
    return WALKS[request.param]()


def test_a_frame_shows_the_windows_cells_its_sum_and_the_output_so_far(walk):
    picture = scene(walk)
    assert len(picture.frames) == len(picture.kept) == len(walk)
    for step, marks in zip(walk, picture.frames, strict=True):
        roles = [mark.role for mark in marks]
        counted = step.input_patch.size if step.counted is None else int(step.counted.sum())
        assert roles.count("window") + roles.count("chosen") == counted
        assert roles.count("current") == 1
        assert roles.count("chosen") == (step.chosen is not None)
        written = " ".join(mark.text for mark in marks if mark.role == "sum")
        assert "…" in written or written == step.written()


def test_nothing_leaves_the_picture_or_covers_another_grid(walk):
    picture = scene(walk)
    for mark in [*picture.still, *(mark for frame in picture.frames for mark in frame)]:
        assert 0 <= mark.x <= picture.width
        assert 0 <= mark.y <= picture.height
        if mark.role in ("input", "padding", "kernel", "waiting", "current", "window"):
            assert mark.x + mark.size <= picture.width
            assert mark.y + mark.size <= picture.height
    cells = {(mark.x, mark.y) for mark in picture.still if ROLES[mark.role].fill}
    assert len(cells) == sum(1 for mark in picture.still if ROLES[mark.role].fill)


def test_the_padding_of_a_maximum_is_no_zero():
    blank = [mark.text for mark in scene(WALKS["max"]()).still if mark.role == "padding"]
    assert blank
    assert set(blank) == {""}


@pytest.mark.parametrize("kind", ["gif", "svg", "html"])
def test_files_are_whole(walk, kind, tmp_path):
    file = tmp_path / f"slide.{kind}"
    save_animation(walk, file, seconds_per_frame=0.5)
    assert [each.name for each in tmp_path.iterdir()] == [file.name]
    if kind == "gif":
        with Image.open(file) as image:
            assert image.n_frames == len(walk)  # type: ignore[attr-defined]
            assert image.info["duration"] == 500 * (4 if len(walk) == 1 else 1)  # the last is held
            assert image.size == (scene(walk).width, scene(walk).height)
    else:
        text = file.read_text(encoding="utf-8")
        drawing = text[text.index("<svg") : text.index("</svg>") + len("</svg>")]
        assert len(ElementTree.fromstring(drawing)) == 3 + 2 * len(walk)
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_the_gif_shows_the_window_where_it_is(tmp_path):
    walk = WALKS["dilated"]()
    picture = scene(walk)
    save_animation(walk, tmp_path / "slide.gif")
    with Image.open(tmp_path / "slide.gif") as image:
        for index, marks in enumerate(picture.frames):
            image.seek(index)
            shown = image.convert("RGB")
            covered = {(mark.x, mark.y) for mark in marks if mark.role == "window"}
            for mark in picture.still:
                if mark.role == "input":
                    colour = shown.getpixel((int(mark.x) + 3, int(mark.y) + 3))
                    wanted = ORANGE if (mark.x, mark.y) in covered else BLUE
                    assert np.abs(np.subtract(colour, wanted)).max() <= 12


def test_svg_shows_each_window_for_its_time_only():
    walk = WALKS["lecture"]()
    drawing = svg(scene(walk), 0.5)
    times = re.findall(r'values="([^"]*)" keyTimes="([^"]*)" dur="([^"]*)"', drawing)
    assert {duration for _, _, duration in times} == {"3s"}
    windows = times[-len(walk) :]
    for index, (values, keys, _) in enumerate(windows):
        moments = [float(key) for key in keys.split(";")]
        shown = [name == "visible" for name in values.split(";")]
        state = [shown[sum(moment <= (now + 0.5) / len(walk) for moment in moments) - 1] for now in range(len(walk))]
        assert state == [now == index for now in range(len(walk))]


@settings(max_examples=40)
@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6)), st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 2), st.integers(1, 2)), st.tuples(st.integers(1, 2), st.integers(1, 2)), st.booleans(),
)  # fmt: skip
def test_any_setting_can_be_drawn(size, kernel_size, stride, dilation, transposed):
    x, kernel = np.ones(size), np.ones(kernel_size)
    walk = (
        transposed_steps(x, kernel, stride=stride, dilation=dilation)
        if transposed
        else steps(x, kernel, stride=stride, dilation=dilation, padding="full")
    )
    images = frames(scene(walk))
    assert len(images) == len(walk)
    assert any(colour == GREEN for _, colour in images[0].getcolors(1 << 20))


def test_what_cannot_be_drawn_is_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="unknown animation format 'mp4'; valid: gif, svg, html"):
        save_animation(WALKS["lecture"](), tmp_path / "slide.mp4")
    with pytest.raises(ArithmeticSettingError, match=r"seconds_per_frame is 0; use at least 0\.02"):
        save_animation(WALKS["lecture"](), tmp_path / "slide.gif", seconds_per_frame=0)
    with pytest.raises(ArithmeticSettingError, match=r"would have 1600 frames.*1000 are the most"):
        save_animation(steps(np.zeros((40, 40)), [[1]]), tmp_path / "slide.gif")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.browser
def test_the_page_plays_steps_and_scrubs(tmp_path):
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    save_animation(WALKS["lecture"](), tmp_path / "slide.html")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(reduced_motion="reduce")
        wrong = []
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto((tmp_path / "slide.html").as_uri())
        visible = "groups => groups.filter(g => g.getAttribute('visibility') === 'visible').map(g => g.dataset.frame)"
        frame = page.locator("[data-frame]")
        assert frame.evaluate_all(visible) == ["0"]
        page.keyboard.press("ArrowRight")
        assert frame.evaluate_all(visible) == ["1"]
        page.get_by_label("step back").click()
        page.keyboard.press("ArrowLeft")
        assert frame.evaluate_all(visible) == ["5"]
        page.get_by_label("step", exact=True).fill("3")
        assert page.locator("#count").text_content() == "4 / 6"
        page.get_by_label("play or pause").click()
        page.wait_for_function("document.getElementById('count').textContent === '6 / 6'")
        browser.close()
    assert wrong == []
