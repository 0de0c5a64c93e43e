"""The page against full connection in a real browser, the counts behind it, and the experiment that it runs."""

import re
import sys
import time

import pytest
from playwright.sync_api import expect
from torch import device, nn

from convlens.errors import ConvlensError
from convlens.explorer.api.dense import FirstLayer, cost
from convlens.explorer.experiment import Experiment

pytestmark = pytest.mark.browser


def times(page) -> str:
    return page.locator(".dense-times").inner_text()


def test_the_counts_and_their_ratio_are_what_one_sees_first(visit, screenshot):
    page = visit("/dense")
    expect(page.locator("[data-layer=dense]")).to_contain_text("483,388,358,656", use_inner_text=True)
    expect(page.locator("[data-layer=convolution]")).to_contain_text("9,472", use_inner_text=True)
    expect(page.locator(".dense-numbers")).to_contain_text(
        "(224·224·3 + 1) · 224·224·64 = 483,388,358,656", use_inner_text=True
    )
    expect(page.locator(".dense-numbers")).to_contain_text(
        "H·W·C·C_out = 224·224·3·64 = 9,633,792", use_inner_text=True
    )
    assert times(page) == "51,033,399 times as many"
    screenshot(page, "dense")


def test_an_address_restores_what_was_seen(visit):
    page = visit("/dense?side=32&channels=1&filters=6&kernel=5")
    expect(page.locator("[data-layer=dense]")).to_contain_text("6,297,600", use_inner_text=True)
    assert times(page) == "40,369 times as many"
    page.get_by_label("Filters").press("ArrowRight")
    page.wait_for_url(re.compile("filters=7"))
    page.wait_for_function("() => document.querySelector('[data-layer=convolution]').innerText.includes('182')")


def test_pressing_the_figure_chooses_a_size(visit):
    page = visit("/dense")
    page.get_by_role("img", name="Parameters of both layers").scroll_into_view_if_needed()
    box = page.get_by_role("img", name="Parameters of both layers").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + 80)
    page.wait_for_url(re.compile(r"side=\d+"))
    page.wait_for_function("() => !document.querySelector('.dense-times').innerText.startsWith('51,033')")


def test_what_was_measured_is_there_at_once(visit):
    """Trained on digits that never moved: a pixel is enough to see that every place was learnt apart."""
    page = visit("/dense")
    expect(page.get_by_text("Measured on")).to_contain_text("Measured on 27 November 2026", use_inner_text=True)
    shown = [
        [float(text.replace("\u00a0%", "")) for text in page.locator(f"[data-network={name}] td").all_inner_texts()[1:]]
        for name in ("dense", "convolution")
    ]
    dense, convolution = shown
    assert len(dense) == len(convolution) == 5
    assert min(dense[0], convolution[0]) > 90
    assert dense[1] < 60
    assert dense[3] < 20
    assert min(convolution) > 90


def test_a_picture_is_unrolled_and_moved(visit):
    page = visit("/dense")
    square = page.locator(".unroll-cell").nth(20).bounding_box()
    page.get_by_role("button", name="Unroll it").click()
    page.wait_for_url(re.compile("unrolled=yes"))
    assert page.locator(".unroll-cell").nth(20).bounding_box()["y"] > square["y"] + 100
    page.get_by_role("button", name="Move it by a pixel").click()
    page.get_by_text("of the 144 inputs are other numbers").wait_for()
    other = int(re.search(r": (\d+) of the 144", page.get_by_text("of the 144 inputs").inner_text())[1])
    assert other == page.locator(".unroll-cell.other").count() > 20


@pytest.mark.slow
def test_the_experiment_is_run_and_shown(visit):
    page = visit("/dense?epochs=1")
    page.get_by_role("button", name="Run the experiment").click()
    page.get_by_text("Training both networks").wait_for()
    page.get_by_text("Measured here after 1 epochs").wait_for(timeout=120_000)
    expect(page.locator("[data-network=dense] td")).to_have_count(6)


@pytest.mark.parametrize(("side", "channels", "filters", "kernel"), [(8, 1, 2, 3), (16, 3, 4, 5), (5, 2, 1, 1)])
def test_the_counts_are_those_of_torchs_modules(side, channels, filters, kernel):
    found = cost(FirstLayer(side=side, channels=channels, filters=filters, kernel=kernel), side)
    with device("meta"):
        dense = nn.Linear(side * side * channels, side * side * filters)
        convolution = nn.Conv2d(channels, filters, kernel)
    assert found["dense"] == sum(parameter.numel() for parameter in dense.parameters())
    assert found["convolution"] == sum(parameter.numel() for parameter in convolution.parameters())
    assert found["dense_macs"] == dense.in_features * dense.out_features
    assert found["dense_bytes"] == 4 * found["dense"]


def wait_until_it_ends(experiment):
    for _ in range(600):
        if experiment.state()["state"] != "running":
            return experiment.state()
        time.sleep(0.05)
    raise AssertionError("the experiment did not end")


def test_an_experiment_that_fails_says_why_and_can_be_run_again():
    code = "import sys; sys.exit('no digits today')"
    experiment = Experiment((sys.executable, "-c", code))
    assert experiment.state() == {"state": "idle"}
    for _ in range(2):
        experiment.start(3)
        assert wait_until_it_ends(experiment) == {"state": "failed", "error": "no digits today"}


def test_one_experiment_at_a_time_and_it_can_be_stopped():
    experiment = Experiment((sys.executable, "-c", "import time; time.sleep(100)"))
    experiment.start(3)
    assert experiment.state() == {"state": "running", "epochs": 3, "progress": 0}
    with pytest.raises(ConvlensError, match="running already, for 3 epochs; wait for it to end"):
        experiment.start(4)
    experiment.stop()
    assert wait_until_it_ends(experiment)["state"] == "failed"
