"""From a run or an artifact to a predictor."""

from collections.abc import Sequence
from pathlib import Path

from convlens import networks, runs
from convlens.artifacts.formats import format_of
from convlens.artifacts.opening import choose_runtime, load_artifact
from convlens.errors import ConvlensError
from convlens.predicting.predictor import Predictor, torch_predictor
from convlens.predicting.runtimes import RUNTIMES
from convlens.processors import default_threads

# Runtimes that a run can be put on, and the format by which it gets there; "" is the run itself.
_RUN_RUNTIMES = {"torch": "", "onnxruntime": "onnx", "openvino": "openvino"}


def load(
    source: str | Path,
    *,
    runtime: str | None = None,
    threads: int | None = None,
    device: str = "auto",
    batch: int = 1,
    weights: str | Path | None = None,
    classes: Sequence[str] | None = None,
) -> Predictor:
    """Load a run, an artifact, or a network of the catalogue with weights, ready to predict.

    Args:
        source: a run folder, a file that `export` wrote (.onnx, .xml, .pt2, .safetensors), or the name of a network.
        runtime: `"torch"`, `"onnxruntime"` or `"openvino"`; None takes PyTorch for a run and
            the artifact's own for an artifact; `"auto"` measures those installed and remembers the fastest.
        threads: that one call may use; None takes the processors that the container has.
        device: where PyTorch runs a run; `"auto"` takes a GPU if there is one. Artifacts run on the processor.
        batch: images in a call, for `runtime="auto"`.
        weights: for the name of a network: published weights or a file.
        classes: for a file of weights: its class names, in the order of the outputs; published weights have their own.

    Raises:
        ConvlensError: there is none of them, it is damaged or from a newer version, or the runtime is missing or unfit.
    """
    if threads is not None and threads < 1:
        raise ConvlensError(f"threads is {threads}; use at least 1")
    path = Path(source)
    if weights is not None:
        return _load_network(str(source), weights, classes, runtime, threads, device)
    if classes is not None:
        raise ConvlensError(f"class names go with --weights; {source} knows its own")
    if str(source) in networks.names() and not path.exists():
        raise ConvlensError(_without_weights(str(source)))
    if runtime == "auto":
        return _load_fastest(path, threads or default_threads(), device, batch)
    if path.is_dir():
        return _load_run(path, runtime, threads, device)
    _only_processor(device, str(path))
    return load_artifact(path, runtime=runtime, threads=threads)


def _load_fastest(path: Path, threads: int, device: str, batch: int) -> Predictor:
    from convlens.predicting.fastest import fastest

    _only_processor(device, "runtime 'auto'")
    possible = tuple(_RUN_RUNTIMES) if path.is_dir() else format_of(path).runtimes
    candidates = {
        name: lambda name=name: load(path, runtime=name, threads=threads, device="cpu")
        for name in possible
        if RUNTIMES[name].installed
    }
    return fastest(path, candidates, batch=batch, threads=threads)


def _load_run(path: Path, runtime: str | None, threads: int | None, device: str) -> Predictor:
    chosen = choose_runtime(runtime, tuple(_RUN_RUNTIMES), str(path))
    if chosen != "torch":
        from convlens.classifiers.converting import converted

        _only_processor(device, chosen)
        return load_artifact(converted(path, _RUN_RUNTIMES[chosen]), runtime=chosen, threads=threads)
    folder = runs.open_folder(path)
    facts = {"network": folder.network_name, "run": {"name": folder.description.name}}
    return torch_predictor(
        folder.load_network(),
        folder.classes,
        folder.preprocessing,
        device=device,
        threads=threads,
        source=str(path),
        facts=facts,
    )


def _load_network(
    name: str,
    weights: str | Path,
    classes: Sequence[str] | None,
    runtime: str | None,
    threads: int | None,
    device: str,
) -> Predictor:
    from convlens.classifiers.subject import open_subject

    if runtime not in (None, "torch"):
        raise ConvlensError(
            f"{name} with weights runs on torch, not on {runtime}; for that, convlens export {name} --weights {weights}"
        )
    subject = open_subject(name, weights=weights, classes=classes)
    facts = {"network": name, "weights": str(weights), "weights_licence": subject.weights_licence}
    return torch_predictor(
        subject.network,
        subject.classes,
        subject.preprocessing,
        device=device,
        threads=threads,
        source=name,
        facts=facts,
    )


def _without_weights(name: str) -> str:
    known = list(networks.card(name).weights)
    say = f"--weights {known[-1]}" if known else "--weights with a file of them"
    return f"{name} is the name of a network, and without weights it has learnt nothing; add {say}"


def _only_processor(device: str, what: str) -> None:
    if device not in ("auto", "cpu"):
        raise ConvlensError(f"{what} runs on the processor, not on {device!r}; leave --device out")
