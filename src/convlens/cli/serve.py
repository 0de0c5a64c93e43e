"""`convlens serve`: a run as an HTTP service."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from convlens.serving.settings import Settings

if TYPE_CHECKING:
    from convlens.classifiers import Classifier
    from convlens.explaining import Explainer
    from convlens.predicting import Answering
    from convlens.serving.service import Loaded


def serve(
    source: str,
    /,
    *,
    weights: str | None = None,
    classes: Path | None = None,
    settings: Annotated[Settings, Parameter(name="*")] = Settings(),  # noqa: B008
) -> int:
    """Answer images over HTTP, until Ctrl-C or SIGTERM.

    Example: convlens serve runs/train/photos --port 8000, then: curl -F file=@cat.jpg http://127.0.0.1:8000/predict

    Args:
        source: A run folder, an artifact, the name of a network with installed weights, or my_net.py:Net.
        weights: For the name of a network or code: published weights, such as imagenet1k_v1, or a file of weights.
        classes: For a file of weights: a file of class names, one a line, in the order of the outputs.
        settings: where the server listens, how much it takes on, and when it gives up.
    """
    from convlens.classifiers import read_class_names, resolve
    from convlens.serving.listening import bind, bind_each
    from convlens.serving.server import serve as serve_alone
    from convlens.serving.tokens import read_token
    from convlens.serving.workers import serve_with_workers

    named = read_class_names(classes) if classes else None
    resolve(source, weights=weights, classes=named, trained=True)  # what is wrong is said once, not by every worker
    if settings.token_file:
        read_token(settings.token_file)
    alone = settings.workers == 1
    listeners = (
        [bind(settings.host, settings.port)] if alone else bind_each(settings.host, settings.port, settings.workers)
    )
    load = partial(load_served, source, weights, named, settings.runtime, settings.threads_per_worker)
    print(
        f"serving {source} on {_address(settings.host, listeners[0].getsockname()[1])} (Ctrl-C stops)", file=sys.stderr
    )
    if not alone:
        return serve_with_workers(settings, load, listeners)
    serve_alone(settings, load, listeners[0])
    return 0


def load_served(
    source: str, weights: str | None, classes: tuple[str, ...] | None, runtime: str | None, threads: int
) -> "Loaded":
    """Load what a worker serves.

    Raises:
        ConvlensError: `source` is nothing that classifies, or is not whole, or the runtime is missing or unfit.
    """
    from convlens.classifiers import resolve
    from convlens.serving.service import Loaded

    found = resolve(source, weights=weights, classes=classes, trained=True)
    predictor = found.predictor(runtime=runtime, threads=threads)
    about = {**predictor.info(), "source": found.name}
    if "data_fingerprint" in found.provenance.run:
        about["fingerprint"] = found.provenance.run["data_fingerprint"]
    return Loaded(predictor=predictor, load_explainer=partial(_load_explainer, found, predictor), about=about)


def _load_explainer(found: "Classifier", predictor: "Answering") -> "Explainer":
    import copy

    from convlens.explaining import Explainer

    # a copy, because the answers run on the network meanwhile
    return Explainer(predictor, copy.deepcopy(found.network) if found.load else None)


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
