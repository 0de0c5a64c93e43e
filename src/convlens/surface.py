"""The nouns of the Python surface that join several rooms: training, and a run that can be used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlens import runs

if TYPE_CHECKING:
    import torch

    from convlens.choosing.frontier import Frontier
    from convlens.evaluation import Evaluation
    from convlens.predicting import FilePrediction, Predictor
    from convlens.shipping import Artifact
    from convlens.training.train import Outcome


@dataclass(frozen=True)
class Run:
    """A finished or interrupted training: what `train` returns and `open_run` opens."""

    folder: runs.RunFolder

    def __repr__(self) -> str:
        made, result = self.folder.description.network, self.result
        height, width = made.size
        reached = result.get("held_out") or {}
        figures = f", {reached['top1']:.2%} on {reached['split']}" if "top1" in reached else ""
        status = result.get("status", "not finished")
        network = f"{made.name}, {made.classes} classes, {height}×{width}×{made.channels}"
        return f"Run({str(self.path)!r}: {network}, {status}{figures})"

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the network's outputs."""
        return self.folder.classes

    @property
    def result(self) -> Mapping[str, Any]:
        """What the training reached: epochs, the best one and its figures."""
        return self.folder.description.result

    def metrics(self) -> list[dict[str, Any]]:
        """One row an epoch."""
        return self.folder.metrics()

    def network(self, which: runs.Which = "best") -> "torch.nn.Module":
        """The trained network, in evaluation mode."""
        return self.folder.load_network(which)

    def predictor(self, *, device: str = "auto", which: runs.Which = "best") -> "Predictor":
        """What runs the network on preprocessed images."""
        from convlens.predicting import torch_predictor

        return torch_predictor(self.network(which), self.classes, self.folder.preprocessing, device=device)

    def predict(self, images: Any, *, top: int = 5, batch: int = 32, device: str = "auto") -> "list[FilePrediction]":
        """Predict images in memory, on disk or behind addresses; see `convlens.predicting.predict`."""
        from convlens.predicting import predict

        return predict(self.predictor(device=device), images, top=top, batch=batch)

    def evaluate(
        self, data: str | Path | None = None, *, split: str | None = None, batch: int = 64, device: str = "auto"
    ) -> "Evaluation":
        """Evaluate on a data set, by default that of the training; see `convlens.evaluation.evaluate`."""
        from convlens.data import open_dataset
        from convlens.evaluation import evaluate
        from convlens.evaluation.evaluation import usual_split

        own = self.folder.description.data
        columns = self.folder.config.get("columns") if data is None else None
        dataset = open_dataset(own.source if data is None else data, classes=self.classes, columns=columns)
        split = split or usual_split(dataset, own.source, own.fingerprint)
        return evaluate(self.predictor(device=device), dataset, split, batch=batch)

    def export(
        self,
        to: str,
        *,
        out: str | Path | None = None,
        precision: str = "float32",
        data: str | Path | None = None,
    ) -> "Artifact":
        """Ship the network as an artifact that has proved itself; see `convlens.shipping.export`."""
        from convlens.shipping import export

        return export(self.path, to, out=out, precision=precision, data=data)


def open_run(path: str | Path) -> Run:
    """Open a run folder and check that it is whole.

    Raises:
        RunError: saying what is missing, cannot be read or does not match.
    """
    return Run(runs.open_folder(path))


def load(
    path: str | Path,
    *,
    runtime: str | None = None,
    threads: int | None = None,
    device: str = "auto",
    batch: int = 1,
    weights: str | Path | None = None,
    classes: Sequence[str] | None = None,
) -> "Predictor":
    """Open anything that predicts: a run folder, an artifact that `export` wrote, or a network's name with weights.

    Args:
        path: the run folder, the artifact, or the name of a network, such as `"resnet50"`.
        runtime: `"torch"`, `"onnxruntime"`, `"openvino"` or `"engine"`; None takes PyTorch for a run and the
            artifact's own; `"auto"` measures those installed and remembers the fastest.
        threads: that one call may use; None takes the processors that the container has.
        device: where PyTorch runs; `"auto"` takes a GPU if there is one.
        batch: images in a call, for `runtime="auto"`.
        weights: for the name of a network: published weights, such as `"imagenet1k_v2"`, or a file of weights.
        classes: for a file of weights: its class names, in the order of the outputs; published weights have their own.

    Raises:
        ConvlensError: if `path` is nothing that predicts, or is not whole, or the runtime is missing or unfit.
    """
    from convlens.classifiers import resolve

    found = resolve(path, weights=weights, classes=classes, trained=True)
    return found.predictor(runtime=runtime, threads=threads, device=device, batch=batch)


def train(data: str | Path | None = None, *, config: str | Path | None = None, **settings: Any) -> Run:
    """Train a network and leave a run folder.

    Every field of `convlens.training.TrainConfig` is an argument of the same name; see there for what they mean.

    Args:
        data: a folder with one folder per class, another source of `open_dataset`, or `"digits"`.
        config: a YAML file of settings with the same names; arguments win over it.
        settings: fields of `TrainConfig`; `quiet=True` prints nothing.

    Returns:
        The run, with its best weights.

    Raises:
        ConvlensError: a setting that does not exist, answered with the nearest ones, or wrong data.
        KeyboardInterrupt: after Ctrl-C, once the current step is finished and the checkpoint written.
    """
    from convlens.training.progress import choose_watcher
    from convlens.training.settings import read_settings, settle
    from convlens.training.train import start

    watcher = choose_watcher(bool(settings.pop("quiet", False)))
    values = (read_settings(config) if config else {}) | settings | ({} if data is None else {"data": str(data)})
    return _finished(start(settle(values), watcher))


def resume(path: str | Path, *, quiet: bool = False) -> Run:
    """Go on with an interrupted training, to the same weights that it would have had without the interruption.

    Raises:
        ConvlensError: if the run is not whole, or its data has changed.
        KeyboardInterrupt: after Ctrl-C, once the current step is finished and the checkpoint written.
    """
    from convlens.training.progress import choose_watcher
    from convlens.training.train import go_on

    return _finished(go_on(path, {}, choose_watcher(quiet)))


def frontier(
    data: str | Path,
    *,
    networks: str | Sequence[str] | None = None,
    sizes: Sequence[int | tuple[int, int]] | None = None,
    budget: str | float | None = None,
    trials: int | None = None,
    max_params: float | str | None = None,
    max_mb: float | str | None = None,
    max_macs: float | str | None = None,
    max_ms: float | str | None = None,
    max_memory: float | str | None = None,
    seeds: int = 1,
    weights: bool = True,
    study: str | Path | None = None,
    quiet: bool = False,
    **settings: Any,
) -> "Frontier":
    """Find the right network within your limits: train many briefly, and the best of them fully.

    Args:
        data: a folder with one folder per class, another source of `open_dataset`, or `"digits"`.
        networks: names, patterns and ranges, such as `"resnet*,efficientnet_b0..b2"`.
        sizes: of inputs in pixels, each a number for a square or (height, width); from the images when None.
        budget: time for all trainings, such as `"30m"`, or seconds.
        trials: candidates that are tried at most; all when None.
        max_params: most parameters, such as `"10M"`.
        max_mb: largest file, in MB.
        max_macs: most multiply-adds for an image.
        max_ms: most milliseconds for an image, on the fastest runtime of this machine.
        max_memory: most memory of an inference, such as `"200MB"`, or bytes.
        seeds: trainings of each candidate that reaches the last rung.
        weights: whether published weights that are on this machine are tried, too.
        study: the folder; `runs/frontier/` and the name of the data when None. An unfinished one is gone on with.
        quiet: print nothing.
        settings: fields of `convlens.training.TrainConfig` for every training.

    Raises:
        ConvlensError: wrong input; limits that nothing meets, with what the smallest needs; a study of other images.
        KeyboardInterrupt: after Ctrl-C; the same call goes on.
    """
    from convlens.choosing.candidates import USUAL
    from convlens.choosing.choose import Asked, Stopped, choose, read_budget
    from convlens.choosing.limits import Limits
    from convlens.choosing.study_progress import choose_progress

    limits = {"max_params": max_params, "max_mb": max_mb, "max_macs": max_macs, "max_ms": max_ms}
    asked = Asked(
        data=str(data),
        networks=networks if isinstance(networks, str) else ",".join(networks) if networks else USUAL,
        sizes=tuple((size, size) if isinstance(size, int) else size for size in sizes) if sizes else (None,),
        limits=Limits.read(limits | {"max_memory": max_memory}),
        weights=weights,
        seeds=seeds,
        trials=trials,
        budget=read_budget(budget),
        study=None if study is None else Path(study),
        training={name: value for name, value in settings.items() if value is not None},
    )
    progress = choose_progress(quiet)
    try:
        found = choose(asked, progress, progress.note)
    finally:
        progress.close()
    if isinstance(found, Stopped):
        raise KeyboardInterrupt(f"stopped; the same call goes on with {str(found.study)!r}")
    return found


def _finished(outcome: "Outcome") -> Run:
    if outcome.stopped_by:
        raise KeyboardInterrupt(f"stopped; go on with convlens.resume({outcome.place!r})")
    return Run(outcome.folder)
