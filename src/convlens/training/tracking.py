"""The rows of metrics.jsonl in TensorBoard or MLflow, too."""

from collections.abc import Mapping
from typing import Any

from convlens import runs
from convlens.errors import ConvlensError
from convlens.training.config import Log
from convlens.training.progress import Plan, Silence, Watcher
from convlens.training.state import State


class TensorBoard(Silence):
    """Writes to `tensorboard/` in the run folder: tensorboard --logdir RUN."""

    def __init__(self, folder: runs.RunFolder) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise _missing("tensorboard") from None
        self.writer = SummaryWriter(str(folder.path / "tensorboard"))

    def epoch(self, row: Mapping[str, Any], kept: bool) -> None:  # noqa: ARG002 - a curve shows it
        """Write the epoch's figures."""
        for name, value in _figures(row).items():
            self.writer.add_scalar(name, value, row["epoch"])
        self.writer.flush()

    def __exit__(self, *_: object) -> None:
        self.writer.close()


class MLflow(Silence):
    """Logs to the MLflow server, or the folder, that MLFLOW_TRACKING_URI names."""

    def __init__(self, folder: runs.RunFolder) -> None:
        try:
            import mlflow
        except ImportError:
            raise _missing("mlflow") from None
        self.mlflow = mlflow
        mlflow.set_experiment("convlens")
        mlflow.start_run(run_name=folder.path.name)
        mlflow.log_params({name: value for name, value in folder.config.items() if value is not None})

    def epoch(self, row: Mapping[str, Any], kept: bool) -> None:  # noqa: ARG002 - a curve shows it
        """Log the epoch's figures."""
        self.mlflow.log_metrics(_figures(row), step=row["epoch"])

    def __exit__(self, *error: object) -> None:
        self.mlflow.end_run("FAILED" if any(error) else "FINISHED")


class Both:
    """Tells two watchers."""

    def __init__(self, first: Watcher, second: Watcher) -> None:
        self.both = (first, second)

    def begin(self, plan: Plan) -> None:
        """Tell both."""
        for watcher in self.both:
            watcher.begin(plan)

    def step(self, state: State) -> None:
        """Tell both."""
        for watcher in self.both:
            watcher.step(state)

    def epoch(self, row: Mapping[str, Any], kept: bool) -> None:
        """Tell both."""
        for watcher in self.both:
            watcher.epoch(row, kept)

    def saved(self, state: State) -> None:
        """Tell both."""
        for watcher in self.both:
            watcher.saved(state)

    def say(self, note: str) -> None:
        """Tell both."""
        for watcher in self.both:
            watcher.say(note)

    def __enter__(self) -> "Both":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any, /) -> None:
        """Only the second one is closed: the first belongs to whoever made it."""
        self.both[1].__exit__(kind, error, trace)


def tracked(watcher: Watcher, log: Log, folder: runs.RunFolder) -> Both:
    """The watcher, and beside it the tracker that the configuration names.

    Raises:
        ConvlensError: if the tracker is not installed.
    """
    trackers = {"none": lambda _: Silence(), "tensorboard": TensorBoard, "mlflow": MLflow}
    return Both(watcher, trackers[log](folder))


def _figures(row: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if name != "epoch"}


def _missing(package: str) -> ConvlensError:
    return ConvlensError(f"{package} is not installed; pip install 'convlens[track]', or leave log out")
