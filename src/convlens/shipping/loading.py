"""From a run or an artifact to a predictor."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlens import runs
from convlens.errors import ConvlensError
from convlens.processors import default_threads
from convlens.shipping.formats import format_of
from convlens.shipping.predictor import Predictor
from convlens.shipping.runtimes import RUNTIMES, require

if TYPE_CHECKING:
    from convlens.shipping.manifest import Manifest

# Runtimes that a run can be put on, and the format by which it gets there; "" is the run itself.
_RUN_RUNTIMES = {"torch": "", "onnxruntime": "onnx", "openvino": "openvino"}


def load(
    source: str | Path,
    *,
    runtime: str | None = None,
    threads: int | None = None,
    device: str = "auto",
    batch: int = 1,
) -> Predictor:
    """Load a run or an artifact, ready to predict.

    Args:
        source: a run folder, or a file that `export` wrote (.onnx, .xml, .pt2, .safetensors).
        runtime: `"torch"`, `"onnxruntime"` or `"openvino"`; None takes PyTorch for a run and
            the artifact's own for an artifact; `"auto"` measures those installed and remembers the fastest.
        threads: that one call may use; None takes the processors that the container has.
        device: where PyTorch runs a run; `"auto"` takes a GPU if there is one. Artifacts run on the processor.
        batch: images in a call, for `runtime="auto"`.

    Raises:
        ConvlensError: there is neither, it is damaged or from a newer version, or the runtime is missing or unfit.
    """
    if threads is not None and threads < 1:
        raise ConvlensError(f"threads is {threads}; use at least 1")
    path = Path(source)
    if runtime == "auto":
        return _load_fastest(path, threads or default_threads(), device, batch)
    if path.is_dir():
        return _load_run(path, runtime, threads, device)
    _only_processor(device, str(path))
    return load_artifact(path, runtime=runtime, threads=threads)


def _load_fastest(path: Path, threads: int, device: str, batch: int) -> Predictor:
    from convlens.shipping.fastest import fastest

    _only_processor(device, "runtime 'auto'")
    possible = tuple(_RUN_RUNTIMES) if path.is_dir() else format_of(path).runtimes
    candidates = {
        name: lambda name=name: load(path, runtime=name, threads=threads, device="cpu")
        for name in possible
        if RUNTIMES[name].installed
    }
    return fastest(path, candidates, batch=batch, threads=threads)


def load_artifact(path: Path, *, runtime: str | None = None, threads: int | None = None) -> Predictor:
    """Load an artifact; see `load`."""
    row = format_of(path)
    chosen = _choose(runtime, row.runtimes, str(path))
    module = row.open()
    model, manifest = module.read(path)
    count = threads or default_threads()
    return Predictor(
        module.engine(model, manifest, chosen, count),
        manifest.classes,
        manifest.preprocessing,
        source=str(path),
        runtime=chosen,
        precision=manifest.precision,
        threads=count,
        facts=_facts(manifest),
    )


def _load_run(path: Path, runtime: str | None, threads: int | None, device: str) -> Predictor:
    chosen = _choose(runtime, tuple(_RUN_RUNTIMES), str(path))
    if chosen != "torch":
        from convlens.shipping.converting import converted

        _only_processor(device, chosen)
        return load_artifact(converted(path, _RUN_RUNTIMES[chosen]), runtime=chosen, threads=threads)
    import torch

    from convlens.evaluation import choose_device
    from convlens.shipping.engines import TorchEngine
    from convlens.shipping.program import Probabilities

    folder = runs.open_folder(path)
    where = choose_device(device)
    module = Probabilities(folder.load_network(), torch.float32).eval()
    module = module.to(device=where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    count = threads or min(torch.get_num_threads(), default_threads())
    return Predictor(
        TorchEngine(module, count, where),
        folder.classes,
        folder.preprocessing,
        source=str(path),
        runtime="torch",
        precision="float32",
        threads=count,
        facts={"network": folder.network_name, "run": {"name": folder.description.name}},
    )


def _only_processor(device: str, what: str) -> None:
    if device not in ("auto", "cpu"):
        raise ConvlensError(f"{what} runs on the processor, not on {device!r}; leave --device out")


def _choose(runtime: str | None, possible: tuple[str, ...], where: str) -> str:
    chosen = runtime or possible[0]
    require(chosen)
    if chosen not in possible:
        titles = " or ".join(RUNTIMES[name].name for name in possible)
        raise ConvlensError(f"{where} cannot run on {chosen}; use {titles}, or export the run to another format")
    return chosen


def _facts(manifest: "Manifest") -> dict[str, Any]:
    return {
        "network": manifest.network["name"],
        "run": dict(manifest.run),
        "weights_licence": manifest.weights_licence,
        "preprocessing_inside": manifest.preprocessing_inside,
        "proof": dict(manifest.proof),
    }
