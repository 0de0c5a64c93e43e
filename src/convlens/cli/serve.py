"""`convlens serve`: a run as an HTTP service."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from convlens.serving.settings import Settings

if TYPE_CHECKING:
    from convlens.explaining import Explainer
    from convlens.predicting import Answering
    from convlens.serving.service import Loaded


def serve(run: Path, /, *, settings: Annotated[Settings, Parameter(name="*")] = Settings()) -> int:  # noqa: B008
    """Answer images over HTTP, until Ctrl-C or SIGTERM.

    Example: convlens serve runs/train/photos --port 8000, then: curl -F file=@cat.jpg http://127.0.0.1:8000/predict

    Args:
        run: the run folder, or a shipped artifact.
        settings: where the server listens, how much it takes on, and when it gives up.
    """
    from convlens import runs
    from convlens.errors import ConvlensError
    from convlens.serving.listening import bind, bind_each
    from convlens.serving.server import serve as serve_alone
    from convlens.serving.tokens import read_token
    from convlens.serving.workers import serve_with_workers

    if not run.exists():
        raise ConvlensError(f"no run {str(run)!r}; give the folder that convlens train printed, or a shipped artifact")
    if run.is_dir():
        runs.open_folder(run)  # what is wrong with it is said here, once, and not by every worker
    if settings.token_file:
        read_token(settings.token_file)
    alone = settings.workers == 1
    listeners = (
        [bind(settings.host, settings.port)] if alone else bind_each(settings.host, settings.port, settings.workers)
    )
    load = partial(load_served, run, settings.runtime, settings.threads_per_worker)
    print(f"serving {run} on {_address(settings.host, listeners[0].getsockname()[1])} (Ctrl-C stops)", file=sys.stderr)
    if not alone:
        return serve_with_workers(settings, load, listeners)
    serve_alone(settings, load, listeners[0])
    return 0


def load_served(path: Path, runtime: str | None, threads: int) -> "Loaded":
    """Load what a worker serves.

    Raises:
        ConvlensError: `path` is nothing that predicts, or is not whole, or the runtime is missing or unfit.
    """
    from convlens.serving.service import Loaded
    from convlens.surface import load

    predictor = load(path, runtime=runtime, threads=threads)
    return Loaded(
        predictor=predictor,
        load_explainer=partial(_load_explainer, path, predictor),
        about={**predictor.info(), **_description(path), "source": path.name},
    )


def _load_explainer(path: Path, predictor: "Answering") -> "Explainer":
    from convlens import runs
    from convlens.explaining import Explainer

    return Explainer(predictor, runs.open_folder(path).load_network() if runs.is_run(path) else None)


def _description(path: Path) -> dict[str, Any]:
    from convlens import runs

    return {"fingerprint": runs.read_folder(path).fingerprint} if runs.is_run(path) else {}


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
