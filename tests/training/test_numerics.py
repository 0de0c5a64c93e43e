import pytest
import torch

from convlens import files, networks
from convlens.training import TrainConfig, numerics
from convlens.training.step import Step


@pytest.fixture
def trained():
    config = TrainConfig(data="digits", network="lenet5")
    return networks.create("lenet5").train(), torch.randn(8, 1, 32, 32), torch.zeros(8, dtype=torch.long), config


def timings(monkeypatch, values):
    """Let trials take so many milliseconds; count how often they are timed."""
    calls = []

    def timed(trials, *_):
        calls.append(trials)
        return {trial: values[trial] for trial in trials}

    monkeypatch.setattr(numerics, "_time", timed)
    monkeypatch.setattr(numerics, "has_bfloat16", lambda _: True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    return calls


def choose(trained, **settings):
    network, x, y, config = trained
    config = TrainConfig(**config.to_dict() | settings)
    return numerics.choose_numerics(network, x, y, config, Step.of(config))


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [
        ((10.0, 10.0, 10.0, 10.0), ("float32", 2)),
        ((10.0, 9.5, 9.9, 10.0), ("float32", 2)),  # not clearly faster
        ((10.0, 4.0, 12.0, 9.0), ("bfloat16", 2)),
        ((10.0, 9.0, 5.0, 6.0), ("float32", 1)),
        ((10.0, 6.0, 8.0, 3.0), ("bfloat16", 1)),
    ],
)
def test_what_is_clearly_faster_is_chosen_and_what_each_gave_is_kept(trained, monkeypatch, milliseconds, expected):
    trials = [("float32", 2), ("bfloat16", 2), ("float32", 1), ("bfloat16", 1)]
    timings(monkeypatch, dict(zip(trials, milliseconds, strict=True)))
    found = choose(trained)
    assert (found.precision, found.threads) == expected
    assert list(found.milliseconds.values()) == list(milliseconds)
    assert "bfloat16, 2 threads" in found.milliseconds


def test_the_second_time_it_is_remembered_unless_the_shape_is_another(trained, monkeypatch):
    trials = [("float32", 2), ("bfloat16", 2), ("float32", 1), ("bfloat16", 1)]
    calls = timings(monkeypatch, dict(zip(trials, (10.0, 4.0, 12.0, 9.0), strict=True)))
    first = choose(trained)
    assert choose(trained) == first
    assert len(calls) == 1
    network, x, y, config = trained
    choose((network, x[:4], y[:4], config))
    assert len(calls) == 2
    (files.cache_folder() / "tuning.json").write_text("{broken")
    assert choose(trained) == first
    assert len(calls) == 3


@pytest.mark.parametrize("settings", [{"tune": False}, {"precision": "float32", "threads": 1}])
def test_nothing_is_timed_where_nothing_is_left_open(trained, monkeypatch, settings):
    calls = timings(monkeypatch, {})
    found = choose(trained, **settings)
    assert (found.precision, found.milliseconds, calls) == ("float32", {}, [])
    assert found.threads == settings.get("threads", 2)


def test_timing_leaves_the_network_as_it_was(trained):
    network, x, y, config = trained
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    took = numerics._time([("float32", 1)], network, x, y, Step.of(config))
    assert 0 < took["float32", 1] < 60_000
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_depthwise_gradients_are_named_in_the_run_only_where_they_are_used(trained, monkeypatch):
    trials = [("float32", 2), ("bfloat16", 2), ("float32", 1), ("bfloat16", 1)]
    timings(monkeypatch, dict(zip(trials, (10.0, 4.0, 12.0, 9.0), strict=True)))
    network = networks.create("efficientnet_b0", classes=10)
    config = TrainConfig(data="digits", network="efficientnet_b0")
    x = torch.randn(2, 3, 32, 32)
    assert choose((network, x, torch.zeros(2, dtype=torch.long), config)).depthwise == "convlens.training.depthwise"
    assert choose(trained).depthwise == "torch"
