import inspect
from dataclasses import fields
from typing import get_args

import pytest
import yaml

from convlens.cli.train import train as command
from convlens.data.keeping import CACHES
from convlens.errors import ConvlensError
from convlens.training import TrainConfig
from convlens.training.config import Cache
from convlens.training.settings import read_settings


def test_a_flag_a_key_and_an_argument_are_the_same_field():
    names = {entry.name for entry in fields(TrainConfig)}
    only_here = {"config", "resume", "seeds", "ray", "processes", "min_processes", "quiet", "json_"}
    assert set(inspect.signature(command).parameters) == names | only_here


def test_every_field_says_what_it_is():
    assert all(entry.metadata["help"].endswith(".") for entry in fields(TrainConfig))


def test_a_configuration_survives_yaml():
    config = TrainConfig(data="digits", size=(32, 48), lr=0.1)
    assert TrainConfig.from_dict(yaml.safe_load(yaml.safe_dump(config.to_dict()))) == config


def test_the_caches_are_those_of_the_loader():
    assert get_args(Cache) == CACHES


def test_one_number_is_a_square_and_a_whole_number_is_a_number():
    config = TrainConfig.from_dict({"data": "digits", "size": 32, "lr": 1})
    assert config.size == (32, 32)
    assert config.lr == 1.0


def test_a_misspelt_setting_is_answered_with_the_nearest():
    with pytest.raises(ConvlensError, match="unknown training setting 'epoch'; did you mean epochs"):
        TrainConfig.from_dict({"data": "digits", "epoch": 3})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs is 0; use at least 1"),
        ({"epochs": 1.5}, "epochs is 1.5; use a whole number"),
        ({"epochs": "3"}, "epochs is '3'; use a whole number"),
        ({"epochs": True}, "epochs is True; use a whole number"),
        ({"batch": -1}, "batch is -1; use at least 1"),
        ({"lr": 0}, "lr is 0.0; use 1e-12 to 1e.06, such as 0.001"),
        ({"lr": 1e30}, "lr is 1e.30; use 1e-12 to 1e.06, such as 0.001"),
        ({"repeats": 101}, "repeats is 101; use 1 to 100"),
        ({"weight_decay": float("inf")}, "weight_decay is inf; use at least 0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"optimizer": "sdg"}, "unknown optimizer 'sdg'; did you mean sgd"),
        ({"size": "32;48"}, "size '32;48' is not a size"),
        ({"size": [1, 2, 3]}, "size is"),
        ({"size": 0}, r"size is \(0, 0\); use 1 to 65536, in pixels"),
        ({"warmup": 1.2}, "warmup is 1.2; use 0 to 1"),
        ({"data": ""}, "no data to train on"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_what_may_be(settings, message):
    with pytest.raises(ConvlensError, match=message):
        TrainConfig.from_dict({"data": "digits"} | settings)


def test_a_file_of_settings_that_is_none(tmp_path):
    file = tmp_path / "settings.yaml"
    with pytest.raises(ConvlensError, match="cannot be read"):
        read_settings(file)
    file.write_text("- epochs")
    with pytest.raises(ConvlensError, match="holds no settings"):
        read_settings(file)
    file.write_text("epochs: [3")
    with pytest.raises(ConvlensError, match="cannot be read"):
        read_settings(file)
    file.write_text("")
    assert read_settings(file) == {}


@pytest.mark.parametrize("number", ["1e-3", "1.0e-3", "1E-3", "0.001", "10e-4", ".1e-2", "+1e-3"])
def test_a_number_is_a_number_however_it_is_written(tmp_path, number):
    file = tmp_path / "settings.yaml"
    file.write_text(f"data: digits\nlr: {number}\nname: e3\n")
    assert TrainConfig.from_dict(read_settings(file)).lr == 0.001


def test_a_key_that_stands_twice_is_refused(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("epochs: 3\nlr: 0.1\nepochs: 30\n")
    with pytest.raises(ConvlensError, match=r"'epochs' stands twice; keep one.*line 3"):
        read_settings(file)


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "a\\b"])
def test_a_name_that_is_a_path_is_refused(name):
    with pytest.raises(ConvlensError, match=r"name is .*use the name of one folder, and --runs"):
        TrainConfig(data="digits", name=name)
