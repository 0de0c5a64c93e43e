"""The shell: addresses, navigation, languages, themes, keyboard, and what it refuses."""

import json
import re

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import expect

from convlens.explorer.app import STATIC, page_names

pytestmark = pytest.mark.browser


def _listed() -> list[str]:
    return re.findall(r'name: "(\w+)"', (STATIC / "core" / "pages.js").read_text())


def test_every_page_is_listed_and_has_a_module():
    assert sorted(_listed()) == sorted(page_names())


def test_both_languages_have_the_same_words():
    def keys(branch, path=""):
        if isinstance(branch, str):
            return {path}
        return {key for name, below in branch.items() for key in keys(below, f"{path}.{name}")}

    words = {language: json.loads((STATIC / "text" / f"{language}.json").read_text()) for language in ("en", "ru")}
    assert keys(words["en"]) == keys(words["ru"])
    assert all(text.strip() for text in _texts(words["ru"]))


def _texts(branch):
    return [branch] if isinstance(branch, str) else [text for below in branch.values() for text in _texts(below)]


@pytest.mark.parametrize("name", _listed())
@pytest.mark.parametrize(
    ("width", "theme", "language"), [(1360, "light", "en"), (390, "dark", "ru")], ids=["desk", "phone"]
)
def test_a_page_fits_and_keeps_nobody_out(visit, name, width, theme, language):
    page = visit(f"/{name}", width=width, theme=theme, language=language)
    assert page.locator("html").get_attribute("lang") == language
    assert page.locator("nav a[aria-current=page]").get_attribute("data-page") == name
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if language == "ru":
        assert re.search("[а-я]", page.locator("h1").inner_text())
    found = Axe().run(page)["violations"]
    assert not found, json.dumps([(each["id"], each["nodes"][0]["failureSummary"]) for each in found], indent=1)


@pytest.mark.parametrize("name", ["image?row=420&column=60", "image?row=300&column=320", "accuracy"])
def test_a_table_fits_on_a_small_laptop(visit, name):
    tables = visit(f"/{name}", width=1280).locator(".table-scroll:visible")
    assert tables.count()
    assert tables.evaluate_all("(boxes) => boxes.filter((box) => box.scrollWidth > box.clientWidth).length") == 0


def test_language_and_theme_are_chosen_and_remembered(visit):
    page = visit("/convolution")
    page.get_by_role("button", name="Русский").click()
    page.get_by_role("heading", level=1, name="Ядро скользит").wait_for()
    page.get_by_role("button", name="Тёмная").click()
    page.reload()
    page.get_by_role("heading", level=1, name="Ядро скользит").wait_for()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 20, 26)"


def test_what_an_address_gets_wrong_is_said(visit):
    page = visit("/convolution?stride=99&colour=red")
    expect(page.get_by_role("status")).to_contain_text("stride=99, colour", use_inner_text=True)
    page = visit(f"/convolution?input={'7' * 5000}")
    assert len(page.get_by_role("status").inner_text()) < 200


def test_an_address_that_leads_nowhere_is_a_page(visit):
    page = visit("/nosuch")
    assert page.get_by_role("heading", level=1).inner_text() == "There is no page /nosuch"
    page.locator("#content").get_by_role("link", name="Pooling").click()
    page.get_by_role("heading", level=1, name="Keep the largest").wait_for()
    visit.tolerated()  # Chromium itself writes the status 404 to the console


def test_a_stopped_server_is_said_and_the_page_goes_on_when_it_is_back(visit):
    page = visit("/pooling")
    page.context.route("**/api/**", lambda route: route.abort())
    page.get_by_role("slider", name="Window").press("ArrowRight")
    page.get_by_role("alert").wait_for()
    page.context.unroute("**/api/**")
    page.get_by_role("alert").wait_for(state="detached")
    page.wait_for_function("() => document.querySelector('#content').dataset.shown === 'pooling'")
    assert "window=3" in page.url
    visit.tolerated()


def test_a_message_of_the_program_is_in_the_pages_language(visit):
    page = visit("/network?a=resnet51", language="ru")
    page.locator("#notices").get_by_text("Неизвестная сеть «resnet51»").wait_for()
    page = visit("/network?a=resnet18&openA=layer1.7", language="ru")
    said = page.locator("#notices").inner_text()
    assert "Неизвестный модуль «layer1.7»; возможно, имелось в виду: layer1" in said
    visit.tolerated()


def test_the_skip_link_leads_to_the_page(visit):
    page = visit("/convolution")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
