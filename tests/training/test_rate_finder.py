import json

import pytest

from convlens.cli.main import main
from convlens.errors import ConvlensError
from convlens.training import TrainConfig
from convlens.training.rate_finder import _read, find_rate


def test_the_suggestion_is_where_the_loss_falls_fastest():
    found = _read([1e-4, 1e-3, 1e-2, 1e-1, 1.0], [2.0, 1.9, 1.0, 0.8, 1.5])
    assert (found.suggestion, found.largest) == (1e-3, 1e-1)


def test_a_sweep_over_digits_finds_a_rate_that_trains(tmp_path, capsys):
    words = ["find-lr", "digits", "--network", "lenet5", "--steps", "60", "--figure", str(tmp_path / "sweep.png")]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert 1e-5 < found["suggestion"] < found["largest"] < 1
    assert found["rates"] == sorted(found["rates"])
    assert (tmp_path / "sweep.png").exists()
    assert main([*words, "--quiet"]) == 0
    assert "--lr" in capsys.readouterr().out


def test_a_range_without_an_inside_is_refused():
    config = TrainConfig(data="digits", network="lenet5")
    with pytest.raises(ConvlensError, match="use a rising range"):
        find_rate(config, lowest=1.0, highest=0.1)
    with pytest.raises(ConvlensError, match="10 steps or more"):
        find_rate(config, steps=3)
