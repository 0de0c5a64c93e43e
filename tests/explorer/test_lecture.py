"""The lecture: its steps as data, each visited and its numbers checked; a lecturer's own; the exercises."""

import json
import re
from urllib.parse import urlsplit

import pytest
import torch
import yaml
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import expect

from convlens.classifiers import resolve
from convlens.cli.main import main
from convlens.errors import ConvlensError
from convlens.explorer.lecture import our_lecture, read_lecture
from convlens.explorer.practice import KINDS, draw
from convlens.explorer.session import Session
from convlens.explorer.subjects import Subjects

from .conftest import answering


@pytest.fixture(scope="module")
def address(run_path):
    """A server that nobody has uploaded to or let compute anything: the lecture shows what ships."""
    opened = resolve(run_path)
    with answering(Session(subjects=Subjects(opened), opened=opened)) as where:
        yield where


def test_there_are_about_forty_steps_and_the_same_in_both_languages():
    english, russian = our_lecture("en"), our_lecture("ru")
    assert 36 <= len(english.steps) <= 46
    assert [step.at for step in english.steps] == [step.at for step in russian.steps]
    assert [bool(step.ask) for step in english.steps] == [bool(step.ask) for step in russian.steps]
    assert sum(bool(step.ask) for step in english.steps) >= 12
    assert all(re.search("[а-я]", step.say) for step in russian.steps)
    with pytest.raises(ConvlensError, match="unknown language 'fr'"):
        our_lecture("fr")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("steps: []", "has no steps"),
        ("title: a\nsteps:\n  - say: b", "step 1 of the lecture .* lacks 'at'; give an address"),
        (
            "steps:\n  - say: b\n    at: /convolutions",
            "unknown page in step 1 .* 'convolutions'; did you mean convolution",
        ),
        (
            "steps:\n  - say: b\n    at: http://else.where/",
            "step 1 .*: at is 'http://else.where/'; give a page's address",
        ),
        ("steps:\n  - say: b\n    at: /image\n    aks: c", "unknown key in step 1 .* 'aks'; did you mean ask"),
        ("steps:\n  - say: b\n    at: /image\n    ask: c", "has ask alone; a question needs its answer"),
        ("steps:\n  - say: 3\n    at: /image", "say is 3; put it into quotes"),
        ("steps: [", "is no YAML"),
    ],
)
def test_a_lecturers_own_steps_are_checked(tmp_path, content, said):
    (tmp_path / "my.yaml").write_text(content)
    with pytest.raises(ConvlensError, match=said):
        read_lecture(tmp_path / "my.yaml")


def test_the_command_says_what_is_wrong_with_a_lecture(tmp_path, capsys):
    (tmp_path / "my.yaml").write_text("steps:\n  - say: hello\n    at: /nowhere\n")
    assert main(["explore", "--no-browser", "--lecture", str(tmp_path / "my.yaml")]) == 2
    assert "unknown page in step 1" in capsys.readouterr().err
    assert main(["explore", "--no-browser", "--lecture", str(tmp_path / "none.yaml")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_lecture_of_ones_own_is_read(tmp_path):
    steps = [
        {"say": "One.", "at": "/pooling?window=3", "ask": "1 + 1?", "answer": "2"},
        {"say": "Two.", "at": "/image"},
    ]
    (tmp_path / "my.yaml").write_text(yaml.safe_dump({"title": "Mine", "steps": steps}))
    found = read_lecture(tmp_path / "my.yaml")
    assert found.title == "Mine"
    assert [step.say for step in found.steps] == ["One.", "Two."]


@pytest.mark.browser
def test_every_step_shows_its_numbers(visit):
    """All steps, one after the other, by the keys; each with the words that its page must show."""
    page = visit("/?lecture=1", width=1280)
    steps = our_lecture("en").steps
    for number, step in enumerate(steps, 1):
        page.locator(f".lecture-bar[data-step='{number}']").wait_for()
        assert step.say in page.locator(".lecture-said").inner_text()
        assert urlsplit(page.url).path == urlsplit(step.at).path
        page.wait_for_function(
            "text => document.getElementById('content').innerText.replaceAll('\\u00a0', ' ').replace(/\\s+/g, ' ').includes(text)",  # noqa: E501
            arg=step.shows,
            timeout=60_000,
        )
        assert not page.locator("#notices").inner_text()
        if step.ask:
            expect(page.locator(".lecture-answer")).to_be_hidden()
            page.keyboard.press("PageDown")
            expect(page.locator(".lecture-answer")).to_have_text(step.answer)
        page.keyboard.press("PageDown")
    assert f"lecture={len(steps)}" in page.url
    page.keyboard.press("Escape")
    expect(page.locator(".lecture-bar")).to_have_count(0)


@pytest.mark.browser
@pytest.mark.parametrize("number", [9, 17, 25])
def test_picture_and_controls_are_seen_together(visit, number, screenshot):
    step = our_lecture("ru").steps[number - 1]
    page = visit(f"{step.at}{'&' if '?' in step.at else '?'}lecture={number}", width=1280, language="ru")
    page.set_viewport_size({"width": 1280, "height": 720})
    page.wait_for_timeout(150)
    bar = page.locator(".lecture-bar").bounding_box()
    for part in (page.locator(".stage-card .stage").first, page.locator(".panel .control").first):
        box = part.bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= bar["y"]
    assert page.locator(".panel .control").first.bounding_box()["x"] > page.locator(".stage").bounding_box()["x"]
    found = Axe().run(page)["violations"]
    assert not found, json.dumps([(each["id"], each["nodes"][0]["failureSummary"]) for each in found], indent=1)
    if number == 9:
        screenshot(page, "lecture")


@pytest.mark.browser
def test_what_is_chosen_on_one_page_is_that_of_the_others(visit):
    page = visit("/field?network=vgg11&picture=flower")
    page.get_by_role("link", name=re.compile("^Next")).click()
    page.locator("#content[data-shown=network]").wait_for()
    assert page.get_by_label("Network", exact=True).input_value() == "vgg11"
    page.go_back()
    page.locator("#content[data-shown=field]").wait_for()
    page.get_by_role("link", name=re.compile("^Before")).click()
    page.locator("#content[data-shown=dense]").wait_for()


@pytest.mark.browser
def test_an_exercise_is_checked_and_worked_out(visit):
    page = visit("/practice?kind=size&seed=5")
    answer = draw("size", 5).answer
    page.get_by_label("Your answer").fill(str(answer + 1))
    page.get_by_role("button", name="Check").click()
    page.get_by_text(f"Not {answer + 1}. The answer is {answer}.").wait_for()
    page.get_by_label("Your answer").fill(str(answer))
    page.get_by_role("button", name="Check").click()
    page.get_by_text(f"Right: {answer}.").wait_for()
    page.get_by_role("button", name="Receptive field").click()
    page.get_by_role("button", name="Show the solution").click()
    page.get_by_text(f"The answer is {draw('field', 5).answer}.").wait_for()


@pytest.mark.parametrize("kind", KINDS)
def test_exercises_are_the_same_for_the_same_seed_and_differ_else(kind):
    assert draw(kind, 3) == draw(kind, 3)
    assert len({json.dumps(draw(kind, seed).to_dict()) for seed in range(12)}) > 8


@pytest.mark.parametrize("seed", range(20))
def test_answers_are_torchs(seed):
    size = draw("size", seed)
    given = size.given
    layer = torch.nn.Conv2d(1, 1, given["k"], given["s"], given["p"], given["d"])
    assert layer(torch.zeros(1, 1, given["n"], given["n"])).shape[2] == size.answer
    layer = draw("parameters", seed)
    made = torch.nn.Conv2d(layer.given["c"], layer.given["f"], layer.given["k"])
    assert sum(each.numel() for each in made.parameters()) == layer.answer
    field = draw("field", seed)
    layers = [
        torch.nn.Conv2d(1, 1, field.given[f"k{index}"], field.given[f"s{index}"], bias=False)
        for index in range(1, len(field.given) // 2 + 1)
    ]
    network = torch.nn.Sequential(*layers)
    for each in network:
        torch.nn.init.ones_(each.weight)
    x = torch.zeros(1, 1, 160, 160, requires_grad=True)
    network(x)[0, 0, 0, 0].backward()
    assert int((x.grad[0, 0].abs().sum(0) > 0).sum()) == field.answer
