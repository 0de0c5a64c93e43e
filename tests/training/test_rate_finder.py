import json
import math

import numpy as np
import pytest
from PIL import Image

from convlens.cli.main import main
from convlens.errors import ConvlensError
from convlens.training import TrainConfig
from convlens.training.rate_finder import find_rate, read_sweep

RATES = [1e-6 * 1e6 ** (step / 99) for step in range(100)]


def curve(*, falls_at, width=0.4, noise=0.1, explodes_at=0.3, seed=0):
    """Losses of a sweep: from 2.3 down to 0.7 around a rate, and up where it explodes."""
    generator = np.random.default_rng(seed)
    losses = []
    for rate in RATES:
        fall = 1.6 / (1 + math.exp(-math.log10(rate / falls_at) / width * 4))
        losses.append(
            2.3 - fall + generator.normal(0, noise) + (20 * math.log10(rate / explodes_at) if rate > explodes_at else 0)
        )
    return losses


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("falls_at", [1e-4, 2e-3, 3e-2])
def test_the_suggestion_is_where_the_loss_falls_fastest_whatever_the_noise(falls_at, seed):
    found = read_sweep(RATES, curve(falls_at=falls_at, seed=seed))
    assert falls_at / 2 < found.suggestion < falls_at * 2
    assert found.suggestion < found.largest


def test_the_start_of_the_sweep_is_not_believed():
    losses = curve(falls_at=2e-3, noise=0.02)
    losses[0] += 5
    losses[1] += 2
    assert 1e-3 < read_sweep(RATES, losses).suggestion < 4e-3


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        (curve(falls_at=1e3), "does not clearly fall"),
        (curve(falls_at=1.0, explodes_at=9), "falls fastest at the end.*raise the last rate"),
        (curve(falls_at=1e-6, width=1, noise=0.01), "falls fastest at the start.*lower the first rate"),
    ],
)
def test_a_sweep_that_shows_no_rate_is_refused(losses, said):
    with pytest.raises(ConvlensError, match=said):
        read_sweep(RATES, losses)


@pytest.mark.parametrize("seed", range(3))
def test_a_sweep_over_digits_finds_a_rate_that_trains(seed):
    found = find_rate(TrainConfig(data="digits", network="lenet5", seed=seed, threads=1))
    assert 2e-5 < found.suggestion < 1e-2
    assert found.suggestion < found.largest
    assert list(found.rates) == sorted(found.rates)


def test_the_command_takes_what_train_takes_and_writes_the_figure_where_it_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for number in range(60):
        path = tmp_path / "photos" / ("dark", "light")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shade = generator.integers(0, 120, (32, 48, 3)) + 120 * (number % 2)
        Image.fromarray(shade.astype(np.uint8)).save(path)
    (tmp_path / "listed.txt").write_text("dark/0.png\n")
    (tmp_path / "mine.yaml").write_text("batch: 16\nlabel_smoothing: 0.0\n")
    words = ["find-lr", "photos", "--network", "lenet5", "--size", "32,48", "--channels", "1"]
    words += ["--exclude", "listed.txt", "--config", "mine.yaml", "--quiet", "--lowest", "1e-5"]
    assert main([*words, "--figure", "c.png"]) == 0
    shown = capsys.readouterr().out
    assert "--network lenet5" in shown
    assert "--size 32,48" in shown
    assert "--channels 1" in shown
    assert "--config mine.yaml" in shown
    assert "--lr" in shown
    assert "--batch 16" in shown
    with Image.open("c.png") as picture:
        assert picture.format == "PNG"
    assert main([*words, "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"rates", "losses", "suggestion", "largest", "batch"}
    assert main([*words, "--figure", "c.jpg"]) == 2
    assert "ends in .png" in capsys.readouterr().err


def test_a_range_without_an_inside_is_refused():
    config = TrainConfig(data="digits", network="lenet5")
    with pytest.raises(ConvlensError, match="use a rising range"):
        find_rate(config, lowest=1.0, highest=0.1)
    with pytest.raises(ConvlensError, match="10 steps or more"):
        find_rate(config, steps=3)
