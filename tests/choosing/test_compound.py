"""Compound scaling: coefficients, budgets, names, and the command on digits."""

import json

import pytest

from convlens import networks
from convlens.choosing.compound import Coefficients, Trainings, fit_budget, grid, read_base
from convlens.cli.main import main
from convlens.errors import ConvlensError

PAPER = Coefficients(alpha=1.2, beta=1.1, gamma=1.15)


def macs(name):
    return networks.card(name).macs


def test_the_grid_doubles_the_cost_and_holds_each_dimension_alone():
    combinations = grid()
    assert all(each.doubles == pytest.approx(2, abs=0.05) for each in combinations)
    for alone in ({"alpha": 2.0}, {"beta": 1.41}, {"gamma": 1.41}):
        [name] = alone
        assert any(
            getattr(each, name) == alone[name]
            and all(getattr(each, other) == 1 for other in ("alpha", "beta", "gamma") if other != name)
            for each in combinations
        )


@pytest.mark.parametrize(("base", "budget"), [("resnet@0.5,0.25,40", 6e6), ("resnet@0.5,0.25,40", 90e6)])
def test_a_budget_is_met_from_below_and_nearly(base, budget):
    fitted = fit_budget(read_base(base), PAPER, budget, macs)
    assert fitted.cost == macs(fitted.name) <= budget
    assert 0 <= fitted.gap < 0.12
    assert fitted.gap == pytest.approx(1 - fitted.cost / budget)
    scale = networks.read_scaled(fitted.name).scale
    larger = networks.Scale(depth=scale.depth, width=scale.width, resolution=scale.resolution + 1)
    assert macs(networks.scaled_name("resnet", larger)) > budget


def test_a_budget_that_nothing_meets_says_what_the_smallest_costs():
    with pytest.raises(ConvlensError, match=r"the smallest, resnet18@0.11,0.32,6, costs \d+,\d+, and 10"):
        fit_budget(read_base("resnet18", 32), PAPER, 10.0, macs)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"alpha": 0.9, "beta": 1.1, "gamma": 1.4}, "alpha is 0.9"),
        ({"alpha": 1.0, "beta": 1.0, "gamma": 1.0}, "has to be about 2"),
        ({"alpha": 2.0, "beta": 1.4, "gamma": 1.4}, "has to be about 2"),
    ],
)
def test_coefficients_that_do_not_double(values, message):
    with pytest.raises(ConvlensError, match=message):
        Coefficients(**values)


def test_bases():
    assert read_base("efficientnet_b0", 64).at(networks.Scale(depth=1.0, width=1.0, resolution=64)) == (
        "efficientnet_b0@1,1,64"
    )
    assert read_base("resnet@0.5,0.25,16").scale == networks.Scale(depth=0.5, width=0.25, resolution=16)
    with pytest.raises(ConvlensError, match="unknown base"):
        read_base("vgg16")


GIVEN = ["--alpha", "1.2", "--beta", "1.1", "--gamma", "1.15"]


def test_the_command_with_given_coefficients(capsys):
    assert main(["scale", "digits", "--base", "resnet@0.5,0.25,16", "--max-macs", "3M", "--json", *GIVEN]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["cost"] <= 3e6
    assert networks.is_name(told["network"])
    assert told["tried"] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (GIVEN, "give one budget"),
        (["--max-macs", "3M", "--max-ms", "5"], "give one budget"),
        (["--max-macs", "3M", "--alpha", "1.2"], "give all of"),
        (["--max-macs", "3M", "--figure", "a.txt"], "a figure is written as"),
        (["--max-ms", "5", *GIVEN], "convlens calibrate"),
    ],
)
def test_wrong_options(options, message, capsys):
    assert main(["scale", "digits", "--base", "resnet@0.5,0.25,16", *options]) == 2
    assert message in capsys.readouterr().err


def test_the_best_of_the_grid_is_taken_and_the_figure_drawn(tmp_path, monkeypatch, capsys):
    seen = []

    def pretended(_, name):
        seen.append(name)
        scale = networks.read_scaled(name).scale
        return 0.9 - abs(scale.depth - 0.6) - abs(scale.width - 0.28) / 10

    monkeypatch.setattr("convlens.choosing.compound.Trainings.top1", pretended)
    figure = tmp_path / "scaling.png"
    command = ["scale", "digits", "--base", "resnet@0.5,0.25,16", "--max-macs", "3M", "--json", "--figure", str(figure)]
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["tried"]) == len(grid())
    assert told["coefficients"]["alpha"] == 1.2
    assert told["tried"][0]["top1"] == max(each["top1"] for each in told["tried"])
    assert list(told["dimensions"]) == ["depth", "width", "resolution", "all three"]
    assert all(line[0]["name"] == "resnet@0.5,0.25,16" and len(line) == 3 for line in told["dimensions"].values())
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_a_short_training_is_not_repeated(tmp_path, monkeypatch):
    trainings = Trainings(data="digits", epochs=1, seed=0, folder=tmp_path)
    reached = trainings.top1("resnet@0.3,0.2,20")
    assert 0 < reached <= 1
    monkeypatch.setattr("convlens.choosing.rung.start", lambda *_, **__: pytest.fail("trained twice"))
    assert trainings.top1("resnet@0.3,0.2,20") == reached
