"""`convlens serve`: a run as an HTTP service."""

import socket
import sys
import tempfile
from pathlib import Path

from convlens.classifiers import read_class_names
from convlens.cluster.replicas import deploy
from convlens.errors import ConvlensError
from convlens.serving.listening import bind, bind_each
from convlens.serving.served import Served
from convlens.serving.server_settings import Settings
from convlens.serving.tokens import read_token
from convlens.serving.worker_processes import serve_with_workers
from convlens.serving.worker_server import serve as serve_alone


def serve(
    source: str, /, *, weights: str | None, classes: Path | None, ray: str | None, replicas: int | None,
    settings: Settings
) -> int:  # fmt: skip
    """Serve predictions over HTTP until Ctrl-C or SIGTERM."""
    named = read_class_names(classes) if classes else None
    if ray is not None:
        where = deploy(source, settings, address=ray, replicas=replicas or 2, weights=weights, classes=named)
        print(f"serving {source} on {where}; serve shutdown ends it", file=sys.stderr)
        return 0
    if replicas is not None:
        raise ConvlensError("--replicas are those of a cluster; add --ray, or on one machine give --workers")
    with tempfile.TemporaryDirectory(prefix="convlens-served-") as folder:
        served = Served(
            source=source,
            weights=weights,
            classes=named,
            runtime=settings.runtime,
            threads=settings.threads_per_worker,
            device=settings.device,
            folder=Path(folder),
        )
        served.renew()  # what is wrong is said once, not by every worker
        if settings.token_file:
            read_token(settings.token_file)
        if settings.workers > 1:
            listeners = bind_each(settings.host, settings.port, settings.workers)
            _say(source, settings.host, listeners[0])
            return serve_with_workers(settings, served, listeners)
        listener = bind(settings.host, settings.port)
        _say(source, settings.host, listener)
        serve_alone(settings, served.load, listener, renew=served.renew)
    return 0


def _say(source: str, host: str, listener: socket.socket) -> None:
    print(f"serving {source} on {_address(host, listener.getsockname()[1])} (Ctrl-C stops)", file=sys.stderr)


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
