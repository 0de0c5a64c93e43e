"""Joining a Ray cluster: whether Ray is there, whether the head node answers, whether all nodes run the same."""

import logging
import os
import socket
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from convlens.data.reaching import file_system, is_address
from convlens.errors import ConvlensError

HERE = "auto"  # the address of the cluster that this machine is in, or of a new one

_ANSWER_SECONDS = 4.0  # for a head node to take a connection, and again to speak
_WORKER_SECONDS = 60.0  # for a node to start a worker
_SAME = ("convlens", "torch", "numpy")  # packages whose versions must be equal everywhere

Result = TypeVar("Result")


@dataclass(frozen=True)
class Node:
    """A machine of the cluster: Ray's id of it, and its address."""

    id: str
    address: str


@contextmanager
def joined(address: str, *, running: bool = False) -> Iterator[list[Node]]:
    """Be part of a Ray cluster for the length of the block.

    Args:
        address: `host:port` of the head node; or `"auto"` for the one of RAY_ADDRESS or of this machine, or a new one
            on this machine where there is none.
        running: whether there must be one, for a new one would end with the block.

    Yields:
        The nodes that are alive.

    Raises:
        ConvlensError: Ray is not installed, the head node does not answer, or nodes run other versions.
    """
    ray = imported()
    given = os.environ.get("RAY_ADDRESS", HERE) if address == HERE else address
    here = given in (HERE, "local")
    if not here:
        _check_answers(given)
    own = not ray.is_initialized()
    if own:
        try:
            with _quietly():
                ray.init(
                    address=given if running or not here else None,
                    include_dashboard=False if here and not running else None,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise ConvlensError(_cannot_join(given, here, error)) from None
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        nodes = living_nodes()
        yield _alike(nodes)
    except ray.exceptions.RayError as error:
        raise _cause(error) from None
    finally:
        if own:
            with _quietly():
                ray.shutdown()


def _cannot_join(address: str, here: bool, error: BaseException) -> str:
    if here:
        return f"there is no Ray cluster on this machine ({_one_line(error)}); begin one with ray start --head"
    return f"the Ray cluster at {address} cannot be joined: {_one_line(error)}"


def imported() -> Any:
    """The module ray.

    Raises:
        ConvlensError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anyone
    os.environ.setdefault("RAY_TRAIN_ENABLE_STATE_TRACKING", "0")  # which needs the dashboard
    try:
        with _quietly():
            import ray
    except ImportError:
        raise ConvlensError("--ray needs Ray; run pip install 'convlens[cluster]'") from None
    return ray


def living_nodes() -> list[Node]:
    """The nodes that are alive now."""
    ray = imported()
    return [Node(node["NodeID"], node["NodeManagerAddress"]) for node in ray.nodes() if node["Alive"]]


def on_each_node(nodes: list[Node], function: Callable[[], Result]) -> dict[Node, Result]:
    """Call a function once on every node; those that are lost meanwhile are left out.

    Raises:
        ConvlensError: a node starts no worker, or the function cannot be loaded there.
    """
    ray = imported()
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(num_cpus=0, max_retries=0)(lambda: function())
    asked = {
        node: task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)).remote()
        for node in nodes
    }
    results = {}
    for node, reference in asked.items():
        try:
            results[node] = ray.get(reference, timeout=_WORKER_SECONDS)
        except ray.exceptions.GetTimeoutError:
            raise ConvlensError(
                f"node {node.address} started no worker within {_WORKER_SECONDS:.0f} s; look at ray status there"
            ) from None
        except (ray.exceptions.TaskUnschedulableError, ray.exceptions.NodeDiedError):
            continue
    return results


def check_sees(nodes: list[Node], paths: Mapping[str, int], what: str) -> None:
    """Compare files of this machine with what every node sees under their names.

    Args:
        nodes: that will read them.
        paths: absolute path or address -> its `extent`; 0 where only being there counts.
        what: they are, for the message.

    Raises:
        ConvlensError: a node does not see one, or another file.
    """
    for node, missing in on_each_node(nodes, partial(_unseen, dict(paths))).items():
        if missing:
            raise ConvlensError(
                f"node {node.address} does not see {missing[0]} as this machine does; put {what} on storage that all "
                "nodes share under the same path, or give an address such as s3://"
            )


def _unseen(paths: dict[str, int]) -> list[str]:
    seen = {name: extent(name) for name in paths}
    return [name for name, size in paths.items() if seen[name] is None or (size and seen[name] != size)]


def extent(name: str) -> int | None:
    """Bytes of a file or of what is behind an address, entries of a folder; None for what is not there."""
    try:
        if is_address(name):
            system, path = file_system(name)
            return int(system.size(path))
        here = Path(name)
        return sum(1 for _ in here.iterdir()) if here.is_dir() else here.stat().st_size
    except Exception:  # every protocol brings the exceptions of its own client
        return None


def _alike(nodes: list[Node]) -> list[Node]:
    """Those of the nodes that answer; raises where one has other versions than this machine."""
    facts = _facts_of(_SAME)
    ours, found = facts(), on_each_node(nodes, facts)
    for node, theirs in found.items():
        for name, value in ours.items():
            if theirs[name] != value:
                raise ConvlensError(
                    f"node {node.address} has {name} {theirs[name]} and this machine has {value}; install the same "
                    "versions on every node"
                )
    return list(found)


def _facts_of(packages: tuple[str, ...]) -> Callable[[], dict[str, str]]:
    """What gives the versions of a machine; sent as it is, so that it runs where Convlens is not installed, too."""

    def facts() -> dict[str, str]:
        import platform
        from importlib.metadata import PackageNotFoundError, version

        found = {"python": platform.python_version()}
        for name in packages:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = "none"
        return found

    return facts


def _check_answers(address: str) -> None:
    """Whether something at the address speaks as a head node does, which is gRPC: HTTP/2 with prior knowledge."""
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit():
        raise ConvlensError(
            f"--ray {address}: give host:port of the head node, such as 10.0.0.1:6379, on a machine of the cluster; "
            "from elsewhere use ray job submit"
        )
    greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # and empty settings
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_SECONDS) as connection:
            connection.sendall(greeting)
            if connection.recv(9)[3:4] == b"\x04":  # its settings
                return
        reason = "something else than a head node listens there"
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
    raise ConvlensError(
        f"no Ray head node answers at {address} ({reason}); check that ray start --head runs there, that the port is "
        "the one that it named, and that no firewall is between"
    )


def _cause(error: BaseException) -> BaseException:
    """The error that the user can mend, where that is what happened on a node."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ConvlensError):
            return ConvlensError(str(seen.args[0] if seen.args else seen))
        seen = getattr(seen, "cause", None) or seen.__cause__
    return error


@contextmanager
def _quietly() -> Iterator[None]:
    """Ray warns of its own future, and leaves files for the interpreter to close."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
