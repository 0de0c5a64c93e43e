"""The lecture's last figure: every stated number beside ours, and the sentences about them."""

import csv
import json
from pathlib import Path

import pytest

from convlens.cli.main import main
from convlens.lessons.literature import compare, papers, published
from convlens.lessons.literature_claims import claims
from convlens.networks import card, names

FIGURES = Path(__file__).parents[1] / "facts" / "imagenet_figures.csv"


@pytest.fixture(scope="module")
def compared():
    return compare(papers())


def test_what_is_ours_comes_out_as_the_papers_state_it(compared):
    ours = [row for row in compared if row.stated.ours is not None]
    assert len(ours) == len(compared) - 6  # Inception, ResNeXt, SENet, NASNet and AmoebaNet-C are others'
    for row in ours:
        if row.stated.network != "GoogLeNet":  # whose 5 M is a twelfth of AlexNet's, see the claims
            assert row.parameters == pytest.approx(row.stated.parameters, rel=0.022)
        if row.stated.macs is not None:
            assert row.macs == pytest.approx(row.stated.macs, rel=0.06)


def test_the_papers_figure_has_table_2_with_every_network_once():
    rows = [row.network for row in papers() if row.in_figure_1]
    assert len(rows) == len(set(rows)) == 17
    assert {row.network: row.seconds for row in papers() if row.seconds} == {
        "ResNet-152": 0.554, "EfficientNet-B1": 0.098, "GPipe": 19.0, "EfficientNet-B7": 3.1,
    }  # fmt: skip


def test_the_published_weights_are_those_of_the_catalogue():
    accurate = [w for name in names() for w in card(name).weights.values() if w.top1 is not None]
    assert [(row.top1, row.top5) for row in published()] == [(w.top1, w.top5) for w in accurate]
    stated = {row["network"]: row for row in csv.DictReader(FIGURES.read_text().splitlines())}
    for row in published():
        if row.ours in stated:
            assert row.macs == pytest.approx(float(stated[row.ours]["gmacs"]) * 1e9, rel=5e-3)
    assert {"VGG-11 BN", "ResNet-50 v2", "EfficientNet-B7", "EfficientNet-Lite0", "MobileNetV2", "GoogLeNet"} <= {
        row.network for row in published()
    }


def test_the_lectures_claims_hold(compared):
    said = claims(compared)
    found = {(round(claim.stated, 1), claim.counted): claim.found for claim in said}
    assert round(found[8.4, True], 1) == 8.4
    assert found[7.6, True] == pytest.approx(7.6, abs=0.15)
    assert round(found[6.1, False], 1) == 6.1
    assert round(found[5.7, False], 1) == 5.7
    assert found[60e6, True] == 60_965_224
    assert found[140e6, True] == 138_357_544
    assert found[25e6, True] == 25_557_032
    assert found[5e6, True] == 6_998_552
    texts = "\n".join(claim.text for claim in said)
    for words in ("66,347,960 parameters against 557,277,864", "3.1 s against 19 s", "today's 6,624,904 come from 3×3"):
        assert words in texts


def test_the_command_prints_draws_and_gives_json(tmp_path, capsys, monkeypatch):
    figure = tmp_path / "figure.svg"
    assert main(["compare", "--literature", "--figure", str(figure)]) == 0
    out = capsys.readouterr().out
    for words in ("EfficientNet-B7", "as published", "0.098 s", "8.4 times smaller than GPipe's AmoebaNet-B"):
        assert words in out
    assert "<svg" in figure.read_text(encoding="utf-8")
    assert main(["compare", "--literature", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert len(content["networks"]) == len(papers())
    assert [claim["recomputed"] for claim in content["claims"]].count(True) == 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--literature resnet18", "--literature compares the networks of the papers; leave the others"),
        ("--literature --figure x.gif", "cannot draw x.gif: the name must end in .png, .svg, .pdf"),
        ("resnet18 resnet34 --figure x.png", "--figure draws the literature's figure; add --literature"),
    ],
)
def test_options_that_do_not_go_together(words, message, capsys):
    assert main(["compare", *words.split()]) == 2
    assert message in capsys.readouterr().err
