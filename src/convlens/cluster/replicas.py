"""The service on a cluster: the same application in replicas of Ray Serve, as many as are busy.

To deploy another run is a rolling update: replicas are replaced a few at a time; each takes requests once it is warm,
and ends once it has answered those that it has.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from convlens.classifiers import resolve
from convlens.cluster.joining import Node, check_sees, imported, joined
from convlens.errors import ConvlensError
from convlens.serving.server_settings import Settings

_NAME = "convlens"
_BUSY = 4.0  # requests that a replica has at hand before another is started


def deploy(
    source: str,
    settings: Settings,
    *,
    address: str,
    replicas: int,
    weights: str | None = None,
    classes: tuple[str, ...] | None = None,
) -> str:
    """Serve on a cluster from now on, or replace what it serves; returns once all answers come from `source`.

    Args:
        source: what answers; a run or an artifact lies on storage that every node sees under the same path.
        settings: of each replica; host and port are those of every node.
        address: of a running cluster, as `joined` takes it.
        replicas: at most; there are two, or one, while nobody asks.
        weights: for the name of a network.
        classes: the class names, for a file of weights.

    Returns:
        The address that answers on this machine.

    Raises:
        ConvlensError: there is no such classifier or cluster, a node does not see it, or no replica becomes ready.
    """
    if replicas < 1:
        raise ConvlensError(f"replicas is {replicas}; use at least 1")
    path = Path(source).absolute()
    found = resolve(source, weights=weights, classes=classes, trained=True)
    if found.kind == "code":
        raise ConvlensError(f"{source} is code, which the machines of a cluster do not have; export it")
    settings = replace(settings, token_file=settings.token_file and settings.token_file.absolute())
    with joined(address, running=True) as nodes:
        ray = imported()
        from ray import serve

        for name in ("ray.serve", "ray"):
            logging.getLogger(name).setLevel(logging.ERROR)
        check_sees(nodes, _files(path, found.kind, weights, settings), f"{source} and what belongs to it")
        gpus = ray.cluster_resources().get("GPU", 0) >= 1 and settings.device != "cpu"
        application = _application(
            str(path) if path.exists() else source,
            None if weights is None else str(Path(weights).absolute() if Path(weights).exists() else weights),
            classes,
            settings,
            found.fingerprint,
        )
        deployment = serve.deployment(serve.ingress(application)()).options(
            name="classifier",
            autoscaling_config={
                "min_replicas": min(2, replicas),
                "max_replicas": replicas,
                "target_ongoing_requests": _BUSY,
            },
            max_ongoing_requests=settings.queue,
            ray_actor_options={"num_cpus": settings.threads or 1, "num_gpus": 1 if gpus else 0},
            graceful_shutdown_timeout_s=settings.timeout_s + settings.upload_timeout_s,
        )
        serve.start(
            http_options={"host": settings.host, "port": settings.port, "location": _location(nodes)},
        )
        try:
            serve.run(deployment.bind(), name=_NAME, route_prefix="/")
        except RuntimeError as error:
            raise ConvlensError(f"no replica became ready: {' '.join(str(error).split())[-300:]}") from None
    return f"http://{settings.host}:{settings.port}"


def _application(
    source: str,
    weights: str | None,
    classes: tuple[str, ...] | None,
    settings: Settings,
    fingerprint: str,
) -> Callable[[], Any]:
    """What makes the application in a replica."""

    def application() -> Any:
        from convlens.serving.application import build
        from convlens.serving.readiness import Readiness
        from convlens.serving.served import loaded
        from convlens.serving.service import Loaded, Service

        def load() -> Loaded:
            found = resolve(source, weights=weights, classes=classes, trained=True)
            if found.fingerprint != fingerprint:
                raise ConvlensError(f"{source} has changed since it was deployed; deploy it again")
            return loaded(found, runtime=settings.runtime, threads=settings.threads or 1, device=settings.device)

        service = Service(settings, load, Readiness(1))
        return build(service, service.prepare)  # a replica takes requests once it is warm

    return application


def _files(path: Path, kind: str, weights: str | None, settings: Settings) -> dict[str, int]:
    named = [path / "run.yaml"] if kind == "run" else [path]
    named += [Path(weights).absolute()] if weights else []
    named += [settings.token_file] if settings.token_file else []
    return {str(file): file.stat().st_size for file in named if file.is_file()}


def _location(nodes: list[Node]) -> str:
    """Every machine answers; where several nodes share one, as in tests, only the head node can have the port."""
    return "EveryNode" if len({node.address for node in nodes}) == len(nodes) else "HeadOnly"
