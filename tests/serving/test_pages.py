"""The two pages in a real browser: a picture is dropped, the answer is there, and nothing comes from elsewhere."""

import pytest
from playwright.sync_api import expect

from .conftest import png

TOKEN = "0123456789abcdef"


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 390, "height": 700})
    page.complaints = []
    page.asked = set()
    page.on("console", lambda message: message.type == "error" and page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.asked.add(request.url.split("/")[2]))
    yield page
    page.close()


def _clean(page, client):
    assert page.complaints == []
    assert page.asked <= {"{}:{}".format(*client.address), ""}


@pytest.mark.browser
def test_a_picture_that_is_dropped_is_answered(serving, page):
    client = serving()
    page.goto(str(client.base_url))
    expect(page.locator("#network")).to_contain_text("lenet5 knows 10 classes: zero, one")
    page.locator("#files").set_input_files(
        [
            {"name": "<b>three</b>.png", "mimeType": "image/png", "buffer": png(3)},
            {"name": "broken.png", "mimeType": "image/png", "buffer": b"no image"},
        ]
    )
    cards = page.locator("article")
    expect(cards).to_have_count(2)
    expect(cards.nth(0).locator("h2")).to_have_text("<b>three</b>.png")
    best = client.post("/predict", files=[("file", png(3))]).json()["predictions"][0]["classes"][0]
    expect(cards.nth(0).locator("li").first).to_contain_text(
        f"{best['label']}{best['probability']:.2%}".replace("%", " %")
    )
    expect(cards.nth(1)).to_contain_text("text file")
    cards.nth(0).get_by_role("button", name=f"Where is {best['label']}?").click()
    expect(cards.nth(0).locator("img")).to_have_attribute(
        "alt", f"The picture, hottest where the network saw {best['label']}"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    _clean(page, client)


@pytest.mark.browser
def test_a_drop_is_a_drop(serving, page):
    client = serving()
    page.goto(str(client.base_url))
    expect(page.locator("#network")).to_contain_text("knows")
    handle = page.evaluate_handle(
        """bytes => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "dropped.png", {type: "image/png"}));
            return transfer;
        }""",
        list(png(4)),
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": handle})
    expect(page.locator("article h2")).to_have_text("dropped.png")
    _clean(page, client)


@pytest.mark.browser
def test_the_page_asks_for_the_token(serving, page, tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    client = serving(token_file=path)
    page.goto(str(client.base_url))
    expect(page.locator("#access")).to_be_visible()
    expect(page.locator("#message")).to_contain_text("401")
    page.locator("#token").fill(TOKEN)
    page.locator("#token").press("Tab")
    expect(page.locator("#network")).to_contain_text("knows 10 classes")
    page.locator("#files").set_input_files([{"name": "three.png", "mimeType": "image/png", "buffer": png(3)}])
    expect(page.locator("article li")).to_have_count(5)


@pytest.mark.browser
def test_the_documentation_page_needs_nothing_from_elsewhere(serving, page):
    client = serving()
    page.goto(str(client.base_url.join("/docs")))
    expect(page.locator("#curl")).to_contain_text(f"curl -F file=@cat.jpg {str(client.base_url).rstrip('/')}/predict")
    for path in client.get("/openapi.json").json()["paths"]:
        expect(page.locator("#operations")).to_contain_text(path)
    expect(page.locator("#operations")).to_contain_text("Retry-After")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    _clean(page, client)
