from dataclasses import replace

import pytest

from convlens import networks
from convlens.choosing.candidates import Candidate
from convlens.choosing.costing import counted, shortlist
from convlens.choosing.limits import BOUNDS, Costs, Limits, read_amount
from convlens.data import open_dataset
from convlens.errors import ConvlensError

COSTS = Costs(parameters=1_000, macs=2_000, file_bytes=4_000, memory_bytes=8_000, latency_ms=0.5)
NETWORKS = ("lenet5", "mlp", "resnet20")


def listed(limits, names=NETWORKS, sizes=((16, 16), (20, 28)), **options):
    found = {"with_weights": False, "note": lambda _: None} | options
    return shortlist("digits", open_dataset("digits"), names, sizes, limits, **found)


@pytest.mark.parametrize("name", BOUNDS)
def test_every_limit_is_kept_to_the_last_unit(name):
    cost = BOUNDS[name].of(COSTS)
    assert not Limits(**{name: cost}).broken_by(COSTS)
    (reason,) = Limits(**{name: cost * 0.99}).broken_by(COSTS)
    assert BOUNDS[name].option in reason
    unknown = replace(COSTS, memory_bytes=None, latency_ms=None)
    assert bool(Limits(**{name: cost * 0.99}).broken_by(unknown)) == (name not in ("max_memory", "max_ms"))


def test_limits_are_read_as_people_write_them():
    read = Limits.read({"max_params": "1.5M", "max_mb": "20", "max_macs": "300m", "max_memory": "200 MB", "max_ms": 8})
    assert read == Limits(max_params=1.5e6, max_mb=20e6, max_macs=3e8, max_memory=2e8, max_ms=8.0)
    assert Limits.read({"max_mb": "20MB"}) == Limits.read({"max_mb": 20})


@pytest.mark.parametrize("wrong", ["", "ten", "-3", "0", "5 apples", "nan"])
def test_an_amount_that_is_none_is_said_with_its_option(wrong):
    with pytest.raises(ConvlensError, match=r"--max-params is .*use an amount above 0"):
        read_amount("--max-params", wrong)


def test_costs_are_those_of_the_network_on_these_images():
    costs = counted(Candidate(network="resnet20", size=(20, 28)), classes=7, channels=1)
    module = networks.create("resnet20", classes=7, channels=1)
    assert costs.parameters == sum(p.numel() for p in module.parameters())
    assert costs.file_bytes == sum(t.nbytes for t in module.state_dict().values())
    assert costs.memory_bytes > costs.file_bytes


@pytest.mark.parametrize("name", ["max_params", "max_macs", "max_mb", "max_memory"])
def test_what_breaks_a_limit_is_dropped_with_its_reason_before_any_training(name):
    every = listed(Limits())
    middle = sorted(BOUNDS[name].of(costs) for costs in every.costs.values())[2]
    found = listed(Limits(**{name: middle}))
    kept = {candidate.name for candidate in found.candidates} - set(found.dropped)
    assert kept == {each for each, costs in every.costs.items() if BOUNDS[name].of(costs) <= middle}
    assert set(found.dropped) == set(every.costs) - kept
    assert all(BOUNDS[name].option in reason for reason in found.dropped.values())


def test_latency_is_measured_once_and_kept(monkeypatch):
    asked = []

    def measure(candidate, classes, channels, threads):
        asked.append(candidate.name)
        return {"lenet5": 1.0, "resnet20": 3.0}[candidate.network]

    monkeypatch.setattr("convlens.choosing.untrained_latency._measure", measure)
    for _ in range(2):
        found = listed(Limits(max_ms=2.0), names=("lenet5", "resnet20"), sizes=((16, 20),))
        assert found.dropped == {"resnet20-16x20": "3 ms an image, more than --max-ms 2 ms"}
    assert asked == ["lenet5-16x20", "resnet20-16x20"]


def test_the_latency_of_a_larger_network_is_larger():
    found = listed(Limits(max_ms=10_000.0), names=("lenet5", "resnet20"), sizes=((80, 96),))
    assert 0 < found.costs["lenet5-80x96"].latency_ms < found.costs["resnet20-80x96"].latency_ms


def test_an_impossible_limit_says_what_the_smallest_needs():
    with pytest.raises(ConvlensError, match=r"--max-params 10 k.*the smallest, lenet5-16, needs .* parameters"):
        listed(Limits(max_params=1e4))


def test_limits_that_contradict_each_other_are_said_so():
    small = listed(Limits(), names=("resnet20", "mlp"), sizes=((40, 40),)).costs
    wide, deep = small["mlp-40"], small["resnet20-40"]
    assert wide.parameters > deep.parameters
    assert wide.macs < deep.macs
    both = Limits(max_params=deep.parameters, max_macs=wide.macs)
    with pytest.raises(ConvlensError, match="each of --max-params and --max-macs can be met, but no candidate meets"):
        listed(both, names=("resnet20", "mlp"), sizes=((40, 40),))


def test_sizes_that_a_network_cannot_take_are_dropped_with_the_reason():
    found = listed(Limits(), names=("vgg11", "lenet5"), sizes=((16, 16), None))
    assert "at least" in found.dropped["vgg11-16"]
    with pytest.raises(ConvlensError, match="no candidate can take such images"):
        listed(Limits(), names=("vgg11",), sizes=((16, 16),))
