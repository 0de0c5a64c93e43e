"""Prediction on small calibrations: what is learnt, what is summed up, what is unknown, what is kept."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import convlens
from convlens.calibrating import NotCalibratedError, calibrate, calibration, predicted_latency
from convlens.calibrating.eager_layers import EagerRow, padding_of
from convlens.calibrating.kept_calibration import Calibration, measure
from convlens.calibrating.latency import predicted
from convlens.calibrating.reading_graphs import steps_of
from convlens.calibrating.recorded import recorded
from convlens.calibrating.regression import Roof, fit
from convlens.calibrating.sampling import draw_rows
from convlens.calibrating.workload import Work
from convlens.cli.main import main
from convlens.errors import ConvlensError


@pytest.fixture(scope="module")
def known():
    return measure(20, seconds=0.1, seed=3, on_note=None)


@pytest.fixture
def kept(known, monkeypatch):
    """The module's calibration, in the cache of one test."""
    monkeypatch.setattr("convlens.calibrating.kept_calibration.measure", lambda *_, **__: known)
    return calibrate()


def test_layers_are_drawn_alike_for_a_seed_and_feed_each_other():
    rows = draw_rows(40, seed=1)
    assert rows == draw_rows(40, seed=1) != draw_rows(40, seed=2)
    for row in rows:
        for number, layer in enumerate(row):
            assert all(each < number for each in layer.inputs)
            first = layer.inputs[0]
            if first >= 0 and layer.work.kind != "join" and layer.work.family != "linear":
                made = row[first].work
                assert (made.channels[1], made.after) == (layer.work.channels[0], layer.work.before)


def test_every_layer_makes_the_shape_that_its_work_says():
    for row in draw_rows(10, seed=5):
        small = [layer for layer in row if layer.work.macs < 20_000_000]
        for layer in small:
            if len(layer.inputs) > 1:
                continue
            alone = replace(layer, inputs=(-1,))
            made = EagerRow([alone])
            result = made._runs[0](made._image(layer.work))
            work = layer.work
            expected = (work.batch, work.channels[1], *work.after)
            assert tuple(result.shape) == (expected if work.family != "linear" else expected[:2]), work


def test_work_of_a_network_has_the_anatomys_macs():
    net = nn.Sequential(
        nn.Conv2d(3, 24, (3, 5), stride=(2, 1), padding=1),
        nn.BatchNorm2d(24),
        nn.ReLU(inplace=True),
        nn.Conv2d(24, 24, 3, padding=1, groups=24),
        nn.SiLU(),
        nn.Conv2d(24, 40, 1),
        nn.MaxPool2d(3, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(40, 7),
    )
    sheet = convlens.inspect(net, (3, 33, 47))
    steps = steps_of(sheet)
    assert [step.work.family for step in steps] == [
        *("dense", "norm", "activation", "depthwise", "activation", "pointwise", "pool", "global", "linear")
    ]
    assert sum(step.work.macs for step in steps) == sheet.macs == sum(step.macs for step in steps)
    assert steps[2].work.in_place
    assert not steps[4].work.in_place
    assert padding_of(steps[3].work) == (1, 1)


def test_a_law_is_learnt_from_layers_and_holds_for_others():
    chance = np.random.default_rng(0)

    def draw():
        c, d, side = (int(each) for each in chance.integers((8, 8, 4), (300, 300, 60)))
        return Work(family="pointwise", channels=(c, d), before=(side, side), after=(side, side))

    def law(work):
        return work.macs / 5e7 + work.nbytes / 2e7 + 0.01

    works = [draw() for _ in range(300)]
    roof = Roof(macs=6e7, nbytes=3e7)
    learnt = fit(works, [law(work) for work in works], [i // 10 for i in range(300)], roof)
    assert learnt.left_out.median < 0.05
    others = [draw() for _ in range(100)]
    errors = np.abs(learnt.milliseconds(others, roof) / [law(work) for work in others] - 1)
    assert np.median(errors) < 0.05


def test_nothing_is_predicted_faster_than_the_roof(known):
    giant = Work(family="dense", channels=(4000, 4000), before=(400, 400), after=(400, 400), kernel=(9, 9))
    for work in (giant, replace(giant, channels=(1, 1), before=(2, 2), after=(2, 2))):
        assert known.regressions["dense"].milliseconds([work], known.roof)[0] >= known.roof.milliseconds(work) > 0


def test_a_deeper_wider_or_larger_network_takes_longer(known):
    def network(width, depth):
        layers = [nn.Conv2d(3, width, 3, padding=1)]
        for _ in range(depth):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        return nn.Sequential(*layers)

    base = predicted_latency(network(32, 3), (3, 40, 56), using=known)
    for other, shape in ((network(32, 12), (40, 56)), (network(128, 3), (40, 56)), (network(32, 3), (120, 168))):
        assert predicted_latency(other, (3, *shape), using=known).milliseconds > 1.5 * base.milliseconds
    assert sum(base.families.values()) == pytest.approx(base.milliseconds)
    assert base.epoch_seconds(1000) == pytest.approx(base.training_milliseconds)


def test_what_was_not_calibrated_is_told_with_its_share(known):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, padding=1)
            self.up = nn.ConvTranspose2d(8, 8, 2, stride=2)

        def forward(self, x):
            return torch.cumsum(self.up(self.conv(x)), 1)

    sheet = convlens.inspect(Odd(), (3, 20, 30))
    told = predicted_latency(sheet, using=known)
    assert told.unknown == {"aten.convolution": 1, "aten.cumsum": 1}
    assert told.unknown_macs == pytest.approx(1 - 3 * 8 * 9 * 600 / sheet.macs)
    assert "unknown: aten.convolution 1×" in str(told)
    assert "% of the MACs" in str(told)
    assert "PyTorch, one core, float32" in str(told)


def test_the_same_answer_after_a_round_trip(known):
    again = Calibration.from_dict(json.loads(json.dumps(known.to_dict())))
    sheet = convlens.inspect(convlens.create("resnet20"), (3, 32, 40))
    assert predicted_latency(sheet, using=again) == predicted_latency(sheet, using=known)


def test_a_calibration_is_of_one_machine_and_one_version(kept, monkeypatch):
    assert calibration().layers == kept.layers
    monkeypatch.setattr("convlens.calibrating.kept_calibration.processor_name", lambda: "another")
    with pytest.raises(NotCalibratedError, match="not another; run convlens calibrate"):
        calibration()


def test_without_a_calibration_the_remedy_is_told(capsys):
    with pytest.raises(NotCalibratedError, match="convlens calibrate"):
        predicted_latency(nn.Conv2d(3, 8, 3), (3, 32, 32))
    assert main(["networks", "resnet20", "--max-ms", "5"]) == 2
    assert "convlens calibrate" in capsys.readouterr().err


@pytest.mark.parametrize(("rows", "seconds", "message"), [(3, 1.0, "rows is 3"), (20, 0.0, "seconds is 0")])
def test_impossible_calibrations(rows, seconds, message):
    with pytest.raises(ConvlensError, match=message):
        calibrate(rows, seconds=seconds)


def test_recorded_networks_are_as_inspected_and_recorded_once(known, monkeypatch):
    [one] = recorded(["resnet20"], (40, 36))
    sheet = convlens.inspect(convlens.create("resnet20"), (3, 40, 36))
    assert (one.macs, one.parameters, one.peak_memory) == (sheet.macs, sheet.parameters, sheet.peak_memory)
    told = predicted(one.steps, known)
    assert told.milliseconds == pytest.approx(predicted_latency(sheet, using=known).milliseconds)
    monkeypatch.setattr("convlens.calibrating.recorded._record", lambda *_: pytest.fail("recorded twice"))
    [again] = recorded(["resnet20"], (40, 36))
    assert predicted(again.steps, known) == told


def test_networks_within_limits(kept, capsys):
    assert main(["networks", "resnet[23]*", "--size", "32,36", "--max-params", "300k", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    names = [each["name"] for each in told["within"]]
    assert set(names) == {"resnet20"}
    assert main(["networks", "resnet[23]*", "--size", "32,36", "--max-macs", "85M", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["within"]
    assert {each["name"] for each in found} == {"resnet20", "resnet32"}
    assert all(a["ms"] <= b["ms"] for a, b in pairwise(found))
    limit = str(found[0]["ms"])
    assert main(["networks", "resnet[23]*", "--size", "32,36", "--max-macs", "85M", "--max-ms", limit]) == 0
    out = capsys.readouterr().out
    assert all((each["name"] in out) == (each["ms"] <= float(limit)) for each in found)
    assert "PyTorch, one core, float32" in out


def test_an_impossible_limit_says_what_the_smallest_needs(kept, capsys):
    assert main(["networks", "resnet20", "--size", "32", "--max-ms", "0.001"]) == 2
    assert "the smallest, resnet20, needs" in capsys.readouterr().err


def test_inspect_tells_the_latency_where_there_is_a_calibration(kept, capsys):
    assert main(["inspect", "lenet5"]) == 0
    out = capsys.readouterr().out
    assert "ms predicted (PyTorch, one core, float32)" in out
    assert "forward and backward" in out
