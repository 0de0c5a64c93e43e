import sys
import types

import pytest

from convlens.errors import ConvlensError
from convlens.training import TrainConfig
from convlens.training.progress import Silence
from convlens.training.train import start

SMALL = {"data": "digits", "network": "lenet5", "batch": 256, "epochs": 2, "tune": False}


def test_tensorboard_has_the_rows_of_the_run(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = start(TrainConfig(**SMALL, log="tensorboard", runs=str(tmp_path)), Silence()).folder
    events = EventAccumulator(str(folder.path / "tensorboard"))
    events.Reload()
    rows = folder.metrics()
    assert [event.step for event in events.Scalars("val_top1")] == [1, 2]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx([row["loss"] for row in rows], rel=1e-6)


def test_mlflow_gets_settings_figures_and_how_it_ended(tmp_path, monkeypatch):
    calls = []
    names = ("set_experiment", "start_run", "log_params", "log_metrics", "end_run")
    stand_in = types.ModuleType("mlflow")
    for name in names:
        setattr(stand_in, name, lambda *args, _name=name, **keywords: calls.append((_name, args, keywords)))
    monkeypatch.setitem(sys.modules, "mlflow", stand_in)
    start(TrainConfig(**SMALL, log="mlflow", runs=str(tmp_path)), Silence())
    assert [call[0] for call in calls] == [*names[:3], "log_metrics", "log_metrics", "end_run"]
    assert calls[1][2] == {"run_name": "digits"}
    assert calls[2][1][0]["network"] == "lenet5"
    assert calls[3][2] == {"step": 1}
    assert calls[-1][1] == ("FINISHED",)


def test_a_tracker_that_is_not_installed_is_named_and_leaves_no_run(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConvlensError, match=r"mlflow is not installed; pip install 'convlens\[track\]'"):
        start(TrainConfig(**SMALL, log="mlflow", runs=str(tmp_path)), Silence())
    assert not list(tmp_path.iterdir())
