import pytest
import torch

from convlens import files, networks
from convlens.errors import ConvlensError
from convlens.training import TrainConfig
from convlens.training.speed import choosing, numerics, timing
from convlens.training.speed.choosing import choose_numerics
from convlens.training.speed.numerics import Numerics
from convlens.training.speed.speed_search import CandidateError, Race
from convlens.training.speed.timing import StepClock
from convlens.training.step import Step

PLAIN = Numerics(device="cpu", threads=1, precision="float32")


@pytest.fixture
def trained():
    config = TrainConfig(data="digits", network="lenet5", batch=8)
    return networks.create("lenet5").train(), torch.randn(8, 1, 32, 32), torch.zeros(8, dtype=torch.long), config


def choose(trained, notes=None, **settings):
    network, x, y, config = trained
    config = TrainConfig(**config.to_dict() | settings)
    say = (lambda _: None) if notes is None else notes.append
    return choose_numerics(network, x, y, config, Step.of(config), steps=100, say=say)


@pytest.fixture
def clock(monkeypatch):
    """bfloat16 is faster, nothing else is; twice the batch is twice as fast; gives what was raced."""
    raced = []

    def race(self, best, candidate):
        raced.append(candidate.title)
        return Race(best=10.0, candidate=4.0 if candidate.precision != best.precision else 11.0)

    monkeypatch.setattr(StepClock, "race", race)
    monkeypatch.setattr(StepClock, "images_a_second", lambda *_: (800.0, 1600.0))
    monkeypatch.setattr(choosing, "has_bfloat16", lambda _: True)
    monkeypatch.setattr(choosing, "_is_busy", lambda: False)
    return raced


def test_the_second_time_it_is_remembered_unless_the_shape_or_the_load_is_another(trained, clock, monkeypatch):
    first = choose(trained)
    assert first.precision == "bfloat16"
    raced = list(clock)
    assert raced
    assert choose(trained) == first
    assert clock == raced
    network, x, y, config = trained
    choose((network, x[:4], y[:4], config))
    assert clock == 2 * raced
    monkeypatch.setattr(choosing, "_is_busy", lambda: True)
    choose(trained)
    assert clock == 3 * raced
    (files.cache_folder() / "tuning.json").write_text("{broken")
    choose(trained)
    assert clock == 4 * raced


def test_without_tuning_nothing_is_timed(trained, clock):
    found = choose(trained, tune=False)
    assert (found.title, found.milliseconds, clock) == ("float32, 1 thread", {}, [])
    assert choose(trained, tune=False, precision="bfloat16", threads=3).title == "bfloat16, 3 threads"


def test_a_larger_batch_is_suggested_and_never_taken(trained, clock):
    notes = []
    choose(trained, notes)
    assert notes == [
        "a batch of 16 would give 1,600 images/s instead of 800; it changes what is learnt, so --batch stays 8"
    ]
    notes.clear()
    choose(trained, notes, batch=16)  # the eight images are a part of it
    assert notes == []


def test_what_does_not_work_is_said_once_and_kept_with_its_reason(trained, clock, monkeypatch):
    def broken(self, best, candidate):
        raise CandidateError("no kernel")

    monkeypatch.setattr(StepClock, "race", broken)
    notes = []
    found = choose(trained, notes)
    assert found.precision == "float32"
    assert found.skipped["bfloat16, 1 thread"] == "no kernel"
    assert [note for note in notes if "left out" in note] == [
        "bfloat16, 1 thread is left out: no kernel",
        "float32, 1 thread, contiguous is left out: no kernel",
    ]
    notes.clear()
    choose(trained, notes)
    assert not any("left out" in note for note in notes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "float16"}, "precision is float16 and the device cpu; use bfloat16"),
        ({"compile": "default"}, "compile is default and there is no C\\+\\+ compiler"),
        ({"compile": "reduce-overhead"}, "the device cpu; use default"),
        ({"compile": "default", "recompute": True}, "together with recompute or freeze_epochs"),
        ({"compile": "default", "freeze_epochs": 1}, "together with recompute or freeze_epochs"),
    ],
)
def test_what_the_device_has_not_is_one_line(trained, monkeypatch, settings, message):
    monkeypatch.setattr(choosing, "lacks_to_compile", lambda _: "there is no C++ compiler (g++)")
    with pytest.raises(ConvlensError, match=message):
        choose(trained, **settings)


def test_depthwise_gradients_are_our_own_only_where_they_are_used(clock):
    network = networks.create("efficientnet_b0", classes=10)
    config = TrainConfig(data="digits", network="efficientnet_b0")
    x, y = torch.randn(2, 3, 32, 32), torch.zeros(2, dtype=torch.long)
    assert choose((network, x, y, config)).depthwise == "convlens.training.speed.depthwise"
    assert choose((network, x, y, config), precision="float32").depthwise == "torch"


def test_timing_leaves_the_network_and_the_random_numbers_as_they_were(trained):
    network, x, y, config = trained
    before, random = {name: t.clone() for name, t in network.state_dict().items()}, torch.get_rng_state()
    clock = StepClock(network, x, y, Step.of(config), recompute=False)
    race = clock.race(PLAIN, Numerics(device="cpu", threads=1, precision="float32", memory_format="contiguous"))
    assert 0 < race.best < 60_000
    assert 0 < race.candidate < 60_000
    assert min(clock.images_a_second(PLAIN)) > 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(random, torch.get_rng_state())


def test_a_candidate_that_raises_never_ends_the_training_but_the_plain_way_does(trained, monkeypatch):
    network, x, y, config = trained

    def milliseconds(self):
        if self.numerics.precision == "bfloat16":
            raise RuntimeError("could not create\na primitive")
        return 5.0

    monkeypatch.setattr(timing._Contestant, "milliseconds", milliseconds)
    clock = StepClock(network, x, y, Step.of(config), recompute=False)
    half = Numerics(device="cpu", threads=1, precision="bfloat16")
    with pytest.raises(CandidateError, match=r"does not work here \(RuntimeError: could not create a primitive\)"):
        clock.race(PLAIN, half)
    with pytest.raises(RuntimeError, match="could not create"):
        clock.race(half, PLAIN)


@pytest.mark.parametrize(("noise_seconds", "expected"), [(0.0, 2), (1000.0, 30)])
def test_a_clearly_slower_candidate_gets_no_third_step_unless_steps_are_so_short_that_noise_decides(
    trained, monkeypatch, noise_seconds, expected
):
    network, x, y, config = trained
    steps = []

    def milliseconds(self):
        steps.append(self.numerics.precision)
        return 5.0 if self.numerics.precision == "float32" else 50.0

    monkeypatch.setattr(timing._Contestant, "milliseconds", milliseconds)
    monkeypatch.setattr(timing, "_NOISE_SECONDS", noise_seconds)
    clock = StepClock(network, x, y, Step.of(config), recompute=False)
    clock.race(PLAIN, Numerics(device="cpu", threads=1, precision="bfloat16"))
    assert steps.count("bfloat16") == steps.count("float32") == expected


def test_a_race_ends_when_its_time_is_up_but_not_before_both_have_done_a_step(trained, monkeypatch):
    network, x, y, config = trained
    steps = []
    monkeypatch.setattr(timing._Contestant, "milliseconds", lambda self: steps.append(self.numerics.threads) or 5.0)
    clock = StepClock(network, x, y, Step.of(config), recompute=False, seconds=0.0)
    clock.race(PLAIN, Numerics(device="cpu", threads=2, precision="float32"))
    assert steps == [1, 2]


@pytest.mark.parametrize(("has", "expected"), [({"avx512_vnni": True}, False), ({"avx512_bf16": True}, True)])
def test_bfloat16_that_is_only_converted_is_not_taken_for_the_processors_own(monkeypatch, has, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"architecture": "x86_64", **has})
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    assert numerics.has_bfloat16(torch.device("cpu")) == expected
