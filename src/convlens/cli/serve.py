"""What `convlens serve` takes, and its help."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from convlens.serving.server_settings import Settings


def serve(
    source: str,
    /,
    *,
    weights: str | None = None,
    classes: Path | None = None,
    ray: str | None = None,
    replicas: int | None = None,
    settings: Annotated[Settings, Parameter(name="*")] = Settings(),  # noqa: B008
) -> None:
    """Serve predictions over HTTP until Ctrl-C or SIGTERM.

    Example: convlens serve runs/train/photos --port 8000, then: curl -F file=@cat.jpg http://127.0.0.1:8000/predict

    Args:
        source: What answers: a run folder, an artifact, a network's name (its weights must be installed), or
            my_net.py:Net.
        weights: Weights for a network's name or code: a published name, such as imagenet1k_v1, or a file.
        classes: Text file of class names for a file of weights: one name per line, in the order of the outputs.
        ray: Serve on a Ray cluster that runs, and return: host:port of its head node. Without a value: this machine's.
            The same command with another run replaces it, without a failed request; serve shutdown ends it.
        replicas: With --ray: largest number of replicas, which are started as requests come. Default: 2.
        settings: Address, limits and time-outs of the server.
    """
